# shellcheck shell=bash
# The stream of deploy-serving.sh: which job it is, how it is drained, submitted once, and found to be healthy.
# Sourced after lib.sh and jobs.sh; stream, checkpoint, settings, revision, arguments and timeout are the script's own.
# shellcheck disable=SC2034,SC2154

LOOK_SECONDS=3
QUIET_SECONDS=12 # without a batch in work, after which a stream counts as idle: twice what its lease takes to be renewed
ASK_AGAIN_SECONDS=20
FAILURES=2 # of the driver, after which a deploy is given up
submitted='' # set where this deploy has submitted the job
JOB_FIELDS='csv[no-heading](reference.jobId,status.state,labels.settings,labels.revision,statusHistory[0].stateStartTime,status.stateStartTime,placement.clusterName)'

# From here on a deploy that is interrupted says how things stand. Its exit code stays that of the signal.
when_interrupted() { # a line
  stands=$1
  trap 'say "$stands" >&2; exit 130' INT
  trap 'say "$stands" >&2; exit 143' TERM
}

put() { # an object that holds {}, whatever was there before
  cloud storage cp - "$1" <<<'{}' || fail "$1 could not be written: $cloud_error"
}

# Sets answer to the stream's jobs, one a line as in JOB_FIELDS; all of them, or with ACTIVE those that run.
list_jobs() { # filter, or nothing
  answer=''
  if [ -n "$DRY_RUN" ]; then return; fi
  cloud dataproc jobs list --region="$REGION" --format="$JOB_FIELDS" \
    --filter="${1:-}labels.suite = sentiment AND labels.job = serving AND labels.stream = $stream" ||
    fail "the jobs of stream $stream cannot be listed: $cloud_error"
}

# Sets running, running_state, running_settings, running_revision, running_since, running_cluster: the stream's active
# job; running is empty: none.
find_running() {
  local now
  list_jobs 'status.state = ACTIVE AND '
  IFS=, read -r running running_state running_settings running_revision running_since now running_cluster <<<"$answer" ||
    true
  running_since=${running_since:-$now}
}

# Whether the running job was told to end, by a cancellation or, since it was submitted, as `make drain` does it.
is_ending() {
  local asked
  case $running_state in CANCEL_*) return 0 ;; esac
  cloud storage ls --long "$checkpoint/control/drain" || return 1
  asked=$(printf '%s\n' "$answer" | grep -o '[0-9-]*T[0-9:]*' | head -n 1)
  [[ $asked > ${running_since:0:19} ]] # a request from before goes when the driver starts
}

# Asks the running job to complete its batch and end, and waits for that.
drain_running() {
  local where
  # Its own checkpoint: the settings may have named another one when it was deployed.
  cloud dataproc jobs describe "$running" --region="$REGION" --flatten='pysparkJob.args[]' \
    --format='value(pysparkJob.args)' || fail "job $running cannot be looked at: $cloud_error"
  where=$(printf '%s\n' "$answer" | sed -n '/^--checkpoint$/{n;p;}')
  case $where in
    gs://*) ;;
    *) fail "want job $running to have its --checkpoint on gs://, found ${where:-none}: end it yourself, then deploy" ;;
  esac
  say "job $running is asked to complete its batch and end"
  await_end "$where"
}

# Waits for the end of the running job.
await_end() { # the checkpoint where it is asked to end, or nothing
  local until=$((SECONDS + timeout)) asked=$((-ASK_AGAIN_SECONDS)) began=$SECONDS
  when_interrupted "stream $stream was told to end and nothing was submitted; the same command again starts it"
  while :; do
    job_field "$running" 'value(status.state)' || fail "job $running cannot be looked at: $cloud_error"
    case $answer in
      DONE | ERROR | CANCELLED) break ;;
    esac
    if [ "$SECONDS" -ge "$until" ]; then
      fail "job $running is still $answer after $timeout s; it was told to end, and nothing was submitted"
    fi
    # A driver that has just been restarted has removed the request: it is made again now and then.
    if [ -n "${1:-}" ] && [ $((SECONDS - asked)) -ge "$ASK_AGAIN_SECONDS" ]; then
      put "$1/control/drain"
      asked=$SECONDS
    fi
    sleep "$LOOK_SECONDS"
  done
  say "job $running is $answer after $((SECONDS - began)) s"
}

# Sets job to the stream's next one, and submitted where this deploy made it. Of two deploys at once one submits. With the
# same settings the second finds the first one's job in the list, or, where that was not there yet, counts the same jobs
# and asks for the same id, which only one of them gets; with others the time of the submission decides.
submit_stream() {
  local number id state its_settings its_revision labels="job=serving,stream=$stream,settings=$settings"
  remember_commits
  list_jobs
  number=$(printf '%s' "$answer" | grep -c . || true)
  while IFS=, read -r id state its_settings its_revision _; do
    case $state in
      DONE | ERROR | CANCELLED) ;;
      *)
        if [ "$its_settings,$its_revision" = "$settings,$revision" ]; then
          another_was_first "$id" "$state"
          return
        fi
        ;;
    esac
  done <<<"$answer"
  while :; do
    number=$((number + 1))
    job=serving-$stream-$settings-$number
    when_interrupted "job $job may be submitted or not; the same command again waits for it or submits it"
    if submit "$job" "$labels" "${SERVING_PROPERTIES:-}" --max-failures-per-hour=10 -- "${arguments[@]}"; then break; fi
    case $cloud_error in
      *ALREADY_EXISTS*) ;;
      *) fail "the job could not be submitted: $cloud_error" ;;
    esac
    job_field "$job" 'value(status.state)' || fail "job $job cannot be looked at: $cloud_error"
    case $answer in
      DONE | ERROR | CANCELLED) ;; # an old job of that number: the next one is free
      *)
        another_was_first "$job" "$answer"
        return
        ;;
    esac
  done
  submitted=1
  job_goes_on
  yield_to_an_earlier_one
}

job_goes_on() {
  when_interrupted "job $job goes on; to end it: gcloud dataproc jobs kill $job --region=$REGION"
}

another_was_first() { # job, state
  job=$1
  job_goes_on
  say "stream $stream is already running as job $1 ($2): another deploy was first"
}

# Where another deploy has submitted the stream with other settings before this one, this one takes its job back.
yield_to_an_earlier_one() {
  local first
  if [ -n "$DRY_RUN" ]; then return; fi
  list_jobs 'status.state = ACTIVE AND '
  first=$(printf '%s\n' "$answer" | awk -F, 'NF { print ($5 ? $5 : $6) "," $1 }' | sort | head -n 1)
  first=${first#*,}
  if [ -n "$first" ] && [ "$first" != "$job" ]; then
    end_job
    fail "job $first of stream $stream came first, by another deploy: this one's job $job was cancelled"
  fi
}

end_job() {
  cloud dataproc jobs kill "$job" --region="$REGION" || say "job $job could not be ended: $cloud_error"
}

# Sets committed to the number of the checkpoint's last batch that is done, offset to that of the last one that was
# begun, -1: none, and epoch to what its newest driver holds it by. Spark keeps the last hundred of each batch's files,
# however long the stream has run.
read_batches() {
  # One pattern for commits, offsets and epochs: of three folders one that is not there yet would hide the others.
  cloud storage ls "$checkpoint/[ceo]*s/*" || case $cloud_error in
    *'matched no objects'*) ;;
    *) fail "$checkpoint cannot be looked at: $cloud_error" ;;
  esac
  committed=$(last_number commits)
  offset=$(last_number offsets)
  epoch=$(printf '%s\n' "$answer" | sed -n '/\/epochs\/.*\.json$/p' | sort | tail -n 1)
}

last_number() { # folder
  printf '%s\n' "$answer" | sed -n "s#.*/$1/\([0-9][0-9]*\)\$#\1#p" | sort -n | tail -n 1 | grep . || echo -1
}

remember_commits() {
  if [ -n "$DRY_RUN" ]; then return; fi
  read_batches
  committed_before=$committed
}

# Sets lease to what the driver that owns the checkpoint has written last, and renews every few seconds.
read_lease() {
  lease=''
  if [ -n "$epoch" ] && cloud storage cat "$epoch"; then
    lease=$answer
  fi
}

# Waits until the job has completed a batch, or has read all its input and renews its lease. One that another deploy has
# submitted has had its time to begin a batch, its earlier failures do not count, and it is left as it is.
wait_until_healthy() {
  local state output failures earlier='' last_lease='' quiet=0 began=$SECONDS until=$((SECONDS + timeout)) idle=0
  [ -z "$submitted" ] || earlier=0 idle=$QUIET_SECONDS
  while :; do
    job_field "$job" 'value[separator="|"](status.state,driverOutputResourceUri,statusHistory[].state)' ||
      fail "job $job cannot be looked at: $cloud_error"
    IFS='|' read -r state output _ <<<"$answer"
    failures=$(printf '%s' "$answer" | { grep -o ATTEMPT_FAILURE || true; } | wc -l)
    earlier=${earlier:-$failures}
    read_batches
    if [ "$committed" -gt "$committed_before" ]; then
      tell_first_batch "$((committed_before + 1))" $((SECONDS - began))
      return
    fi
    case $state in
      DONE) give_up 'its driver has ended' ;;
      ERROR | CANCELLED) give_up "it is $state" ;;
    esac
    failures=$((failures - earlier))
    [ "$failures" -lt "$FAILURES" ] || give_up "its driver failed $failures times"
    [ "$SECONDS" -lt "$until" ] || give_up "no batch is complete after $timeout s"
    if [ "$state" = RUNNING ] && [ "$offset" = "$committed" ] && runs_its_query "$output"; then
      read_lease
      [ "$quiet" != 0 ] || quiet=$SECONDS last_lease=$lease
      if [ $((SECONDS - quiet)) -ge "$idle" ] && [ -n "$lease" ] && [ "$lease" != "$last_lease" ]; then
        say "stream $stream is healthy after $((SECONDS - began)) s: job $job has read all its input and waits for more"
        return
      fi
    else
      quiet=0
    fi
    sleep "$LOOK_SECONDS"
  done
}

# Whether the driver has loaded its model and started the query.
runs_its_query() { # where the driver's output lies
  [ -z "${query_runs:-}" ] || return 0
  driver_output "$job" "$1" || return 1
  case $answer in
    *'the stream runs: query'*) query_runs=1 ;;
    *) return 1 ;;
  esac
}

tell_first_batch() { # batch, seconds
  local words=''
  if cloud storage cat "$checkpoint/manifests/$1.json"; then
    words=$(printf '%s' "$answer" | "$PYTHON" -c '
import json, sys
manifest = json.loads(sys.stdin.read().splitlines()[-1])
print(", %s rows in, scored by version %s" % (manifest["rows_in"], manifest["model_version"]))
' 2>/dev/null || true)
  fi
  say "stream $stream is healthy after $2 s: job $job has completed batch $1$words"
}

give_up() { # what happened
  show_driver_tail "$job"
  case $state in
    DONE | ERROR | CANCELLED) ;;
    *)
      if [ -n "$submitted" ]; then
        end_job
        set -- "$1, and it was cancelled"
      else
        set -- "$1; another deploy has submitted it, and it is left as it is"
      fi
      ;;
  esac
  fail "job $job of stream $stream failed: $1${reason:+: $reason}"
}
