"""Tweets that nobody wrote: Sentiment140's format out of a small grammar and words of our own.

A seed and a number of rows fix every byte: all chance comes from `Random.random()`, the one method whose
sequence Python promises to keep, and nothing depends on the clock, the locale or the order of a set.
"""

import random
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

NEGATIVE, NEUTRAL, POSITIVE = "0", "2", "4"

NOISE = 0.10  # labels flipped: no model can pass 0.90 by much
MIXED = 0.08  # both sentiments in one tweet; the main clause decides
WEAK = 0.06  # no sentiment word at all, only a phrase that leans
LEAN = 0.80  # how often such a phrase leans the tweet's way
STRAY = 0.03  # a mild word that is meant the other way round
SHARES = {"malformed": 0.002, "neutral": 0.010, "duplicate": 0.003, "both": 0.003}
LEAST_WITH_MALFORMED = 50  # one malformed row among fewer would be too large a share

FIRST_ID, FIRST_TIME, SPAN = 1467810369, datetime(2009, 4, 6, 22, 19, 45), timedelta(days=80)
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LONGEST = 140


def _words(text: str) -> tuple[str, ...]:
    return tuple(" ".join(text.split()).split(", "))


# Pairs: negative words, positive words.
STRONG = (
    _words("""awful, terrible, horrible, dreadful, disgusting, pathetic, miserable, hideous, rubbish, unbearable,
    heartbreaking, useless, ridiculous, sickening, atrocious"""),
    _words("""amazing, awesome, brilliant, fantastic, gorgeous, wonderful, perfect, superb, fabulous, delightful,
    excellent, stunning, breathtaking, hilarious, magnificent"""),
)
MILD = (
    _words("""boring, sad, slow, broken, annoying, rude, cold, noisy, tired, lame, messy, late, overpriced, bland,
    bad, confusing, dull, silly, sore, stale, clumsy, lonely"""),
    _words("""good, nice, sweet, fun, cute, cosy, fresh, tasty, kind, funny, pretty, cool, neat, clever, lovely, warm,
    great, happy, smooth, bright, handy, calm"""),
)
VERBS = (
    _words("hate, can't stand, despise, regret, dread, resent, loathe"),
    _words("love, enjoy, adore, appreciate, like, cherish, dig"),
)
PLAIN_VERBS = (_words("hate, mind, regret, dread"), _words("love, like, enjoy, recommend"))  # after "don't"
DEEDS = (
    _words("""missed, lost, broke, ruined, messed up, forgot, cried over, got stuck with, got robbed at,
    wasted a day on, waited two hours for, got shouted at over, paid far too much for, worried about"""),
    _words("""finally got, won, fixed, just found, laughed about, saved, smiled at, got a free upgrade on,
    got tickets for, spent a happy day on, can't wait for, got praised for, paid next to nothing for, dreamt of"""),
)
OUTCRIES = (
    _words("ugh, boo, argh, oh no, damn, sigh, meh, fml, what a shame, grrr, so not fair, why me"),
    _words("yay, woohoo, hurray, wow, omg yes, haha, yum, w00t, score, bliss, so happy, best day ever"),
)
FACES = (
    _words(":(, :-(, :'(, D:, :/, &gt;:(, =(, 😢, 😡, </3"),
    _words(":), :-), :D, ;), =), &lt;3, xD, 😂, 😍, ♥"),
)
LEANINGS = (
    _words("""monday again, back to work, homework all night, at the dentist, rain on the window, still awake at 4am,
    stuck in traffic, another meeting, home alone, my head hurts, the phone is dead, packing the last boxes,
    the bus was full, nobody answered, in bed with a cold, school in the morning, the fridge is empty, out of money"""),
    _words("""friday at last, off to the beach, pancakes for breakfast, at the concert, sun on the balcony,
    dancing until 4am, on the road with friends, one more present, home with the kids, my hair is done,
    the phone is new, unpacking the first boxes, the cake was gone in a minute, everybody came, in bed with a book,
    holidays in the morning, the fridge is full, out with the girls"""),
)

TOPICS = _words("""the new album, this phone, my job, the weather, that film, our trip, my hair, the coffee here,
the train, this town, my exam, the game, the party, this book, my laptop, the wifi, the food, our garden, the concert,
my birthday, the service, this update, the café on the corner, my fiancé, the beach, her voice, the last episode,
my new shoes, the gym, this song, the queue, my maths class, his speech, the dog, our flat, the jalapeño burger,
the flight to Zürich, my bike, the museum, that recipe, the radio show, this website, my haircut, the meeting""")
NAMES = _words("sunny, koala, jo, max_, tea, dj, rocket, emma, pixel, lisa, moon, tommy, zoë, mr_, kat, biscuit")
STRENGTHENERS = _words("so, very, really, totally, just, absolutely, pretty much, quite, kinda, too, honestly")
TIMES = _words("""today, tonight, this morning, right now, again, this week, tomorrow, at last, all day, since friday,
yesterday, before lunch, after work, in the end, at the moment, once more""")
ACTIONS = _words("""watching, talking about, reading about, thinking of, on my way to, looking at, waiting for,
asking about, done with, listening to, back from, writing about, looking up, driving past""")
STARTS = _words("I, i, honestly i, i really, we, I still, my sister and i, guess i, everyone knows i")
NOTS = _words("is not, is not, isn't, was not, wasn't, is never")
DONTS = _words("don't, don't, do not, didn't, never, don't really")
LINKING = _words("but, yet, but then, and still, however")
CONCEDING = _words("although, even though, though, despite that, while")
JOINING = (", ", ". ", " &amp; ", "... ", " - ", "! ", " and ", " because ")
ENDINGS = ("", "", "", "", ".", "!", "!!", "!!!", "...", " lol", " tho", "?")
HASHTAGS = _words("fail, win, music, nowplaying, work, foodie, weekend, travel, tv, london, life, fb, family, geek")
SLANG = {"you": "u", "because": "cuz", "tomorrow": "2moro", "tonight": "2nite", "really": "rly", "with": "w/"}
SLANG |= {"and": "n", "for": "4", "the": "da", "to": "2", "thinking": "thinkin", "my": "ma"}


class Dice(random.Random):
    """Chance by `random()` alone: what else `Random` offers may change with Python's version."""

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self.random() * len(options))]

    def chance(self, share: float) -> bool:
        return self.random() < share


def sample_rows(count: int, seed: int) -> Iterator[list[str]]:
    """`count` rows of Sentiment140: target, id, date, flag, user, text; ids and dates never go back.

    Most are tweets, half of each sentiment. A few rows are neutral, malformed (wrong number of columns, unknown
    target, empty text), exact copies of an earlier row, or an earlier text under the other label.
    """
    dice = Dice(seed)
    recent: deque[list[str]] = deque(maxlen=200)
    tweet_id, malformed = FIRST_ID, 0
    for index, (kind, positive) in enumerate(_plan(count, dice)):
        tweet_id += 1 + int(dice.random() * 1000)
        date = _date(FIRST_TIME + SPAN * ((index + dice.random()) / count))
        user = f"{dice.pick(NAMES)}{int(dice.random() * 9000)}"
        label = POSITIVE if positive != dice.chance(NOISE) else NEGATIVE
        row = [label, str(tweet_id), date, "NO_QUERY", user, ""]
        earlier = recent[int(dice.random() * len(recent))] if recent else None
        if kind == "duplicate" and earlier:
            row = earlier
        elif kind == "both" and earlier:
            row[0] = NEGATIVE if earlier[0] == POSITIVE else POSITIVE
            row[5] = earlier[5]
        elif kind == "neutral":
            row[0], row[5] = NEUTRAL, _decorated(_remark(dice), dice)
        else:
            row[5] = tweet(dice, positive)
            if kind == "malformed":
                row = _spoilt(row, malformed)
                malformed += 1
            else:
                recent.append(row)
        yield row


def is_malformed(row: Sequence[str]) -> bool:
    """Whether a row breaks the format: its number of columns, its target or its text."""
    return len(row) != 6 or row[0] not in (NEGATIVE, NEUTRAL, POSITIVE) or not row[5]


def tweet(dice: Dice, positive: bool) -> str:
    """One tweet, at most 140 characters, that means something good or bad."""
    roll = dice.random()
    if roll < MIXED / 2:
        body = f"{_clause(dice, not positive)} {dice.pick(LINKING)} {_clause(dice, positive)}"
    elif roll < MIXED:
        body = f"{_clause(dice, positive)} {dice.pick(CONCEDING)} {_clause(dice, not positive)}"
    elif roll < MIXED + WEAK:
        leaning = dice.pick(LEANINGS[positive == dice.chance(LEAN)])
        parts = (leaning, _remark(dice)) if dice.chance(0.5) else (_remark(dice), leaning)
        return _decorated(dice.pick(JOINING).join(parts), dice)
    else:
        extra = dice.random()
        body = _clause(dice, positive)
        if extra < 0.35:
            body += dice.pick(JOINING) + _clause(dice, positive)
        elif extra < 0.65:
            body = _remark(dice) + dice.pick(JOINING) + body
        if dice.chance(0.15):
            body = f"{dice.pick(OUTCRIES[positive])}{dice.pick(JOINING)}{body}"
    return _decorated(body, dice, face=positive == dice.chance(0.9))


def _clause(dice: Dice, positive: bool) -> str:
    """A topic judged; negation takes the opposite word, so single words mislead and pairs of words help."""
    topic, when = dice.pick(TOPICS), f" {dice.pick(TIMES)}" if dice.chance(0.3) else ""
    form = dice.random()
    if form < 0.24:
        return f"{dice.pick(STARTS)} {_drawn_out(dice.pick(VERBS[positive]), dice)} {topic}{when}"
    if form < 0.29:
        return f"i {dice.pick(DONTS)} {dice.pick(PLAIN_VERBS[not positive])} {topic}{when}"
    if form < 0.36:
        return f"{topic} {dice.pick(NOTS)} {dice.pick(MILD[not positive])}{when}"
    if form < 0.60:
        return f"{dice.pick(STARTS)} {dice.pick(DEEDS[positive])} {topic}{when}"
    strengthener = f"{_drawn_out(dice.pick(STRENGTHENERS), dice)} " if dice.chance(0.5) else ""
    if form < 0.66:
        return f"how {_quality(dice, positive)} is {topic}{when}"
    return f"{topic} {'is' if dice.chance(0.7) else 'was'} {strengthener}{_quality(dice, positive)}{when}"


def _quality(dice: Dice, positive: bool) -> str:
    mild = MILD[positive != dice.chance(STRAY)]
    word = dice.pick(STRONG[positive] if dice.chance(0.45) else mild)
    return f"&quot;{word}&quot;" if dice.chance(0.02) else _drawn_out(word, dice)


def _remark(dice: Dice) -> str:
    return f"{dice.pick(ACTIONS)} {dice.pick(TOPICS)} {dice.pick(TIMES)}"


def _drawn_out(word: str, dice: Dice) -> str:
    """Now and then "sooo" for "so": one vowel of the word, two to five times more."""
    vowels = [at for at, letter in enumerate(word) if letter in "aeiou"]
    if not vowels or not dice.chance(0.08):
        return word
    at = vowels[int(dice.random() * len(vowels))]
    return word[:at] + word[at] * (2 + int(dice.random() * 4)) + word[at:]


def _decorated(body: str, dice: Dice, face: bool | None = None) -> str:
    """The body as people type it: slang, capitals, mentions, links, hashtags, and a face that mostly fits."""
    if dice.chance(0.15):
        body = " ".join(SLANG.get(word, word) for word in body.split(" "))
    if dice.chance(0.04):
        body = body.upper().replace("&QUOT;", "&quot;").replace("&AMP;", "&amp;")
    elif dice.chance(0.4):
        body = body[0].upper() + body[1:]
    body += dice.pick(ENDINGS)
    if dice.chance(0.35):
        body = f"@{dice.pick(NAMES)}{int(dice.random() * 900)} {body}"
    if face is not None and dice.chance(0.12):
        body += f" {dice.pick(FACES[face])}"
    if dice.chance(0.10):
        body += f" #{dice.pick(HASHTAGS)}"
    if dice.chance(0.10):
        body += f" http://example.com/{int(dice.random() * 36**4):x}"
    return body if len(body) <= LONGEST else body[:LONGEST].rsplit(" ", 1)[0]


def _plan(count: int, dice: Dice) -> list[tuple[str, bool]]:
    """What each row is to be, and its sentiment: exact numbers in an order of chance."""
    numbers = {kind: round(count * share) for kind, share in SHARES.items()}
    if count >= LEAST_WITH_MALFORMED:
        numbers["malformed"] = max(1, numbers["malformed"])
    kinds = [kind for kind, number in numbers.items() for _ in range(number)]
    kinds += ["tweet"] * (count - len(kinds))
    keyed = sorted((dice.random(), index, kind) for index, kind in enumerate(kinds))
    return [(kind, index % 2 == 0) for _, index, kind in keyed]


def _spoilt(row: list[str], turn: int) -> list[str]:
    """The row with one of the three faults, in turn."""
    return (row[:5], ["7", *row[1:]], [*row[:5], ""])[turn % 3]


def _date(time: datetime) -> str:
    day, month = DAYS[time.weekday()], MONTHS[time.month - 1]
    return f"{day} {month} {time.day:02d} {time:%H:%M:%S} PDT {time.year}"
