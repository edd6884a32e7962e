"""From a raw tweet to its tokens: SQL expressions, so that the registered model needs nothing but Spark.

The expressions stand inside the registered pipeline. They hold no backslash, because a parser setting changes
what one means (`spark.sql.parser.escapedStringLiterals`), and repeat single characters only: a repeated group
in a Java pattern overflows the stack on long texts.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812

MAX_CHARACTERS = 20_000
"""Characters of a text that are looked at; a tweet has a few hundred, but a model must survive anything."""

LINK, MENTION = "xlinkx", "xmentionx"
START, END = "xstartx", "xendx"
NEGATED = "~"
"""Prefix of the copy of a word that stands within three words after a negation."""

_BACKSLASH = "char(92)"
# Anything but white space and ASCII punctuation: words of every script, digits, emoji, underscore. Brackets, quotes
# and the like are gone by then; single characters, because Java looks them up in a table and tries ranges in turn.
_WORD = '[^ !"#$%&()*+,./:;<=>?@|~-]'
_NEGATION = (
    "(?:not|no|nor|never|cannot|without|hardly|nothing|nobody|none|"
    "(?:ca|do|does|did|wo|is|ai|was|were|have|has|had|would|could|should|are)nt)"
)
_NEGATION_BEGINS = "(?=[acdhinsw])"  # tried first at every character, because it is cheap
_ENTITIES = [("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&nbsp;", " "), ("&#39;", "")]
_TOKEN = (
    "[:;=8][-o*]?(?:[()/|*3]+|[dp](?![a-z0-9]))"  # :) ;-( =D :/ and their kin
    "|[()][-o]?[:;=]"  # (: and ):
    "|<3+"
    f"|{NEGATED}?{_WORD}+"
    "|[!?]+|[.][.]+"
    f"|[^ {NEGATED}]"
)


def normalised(text: str) -> str:
    """SQL for a text lower-cased on one line, entities decoded once, links and mentions each one word.

    Args:
        text: SQL expression of a string; null gives null.
    """
    whole = f"substring({text}, 1, {MAX_CHARACTERS})"
    decoded = whole
    for entity, meaning in _ENTITIES:
        decoded = f"replace({decoded}, '{entity}', '{meaning}')"
    result = f"if(contains({whole}, '&'), {decoded}, {whole})"  # few texts have entities, and six searches cost
    result = f"regexp_replace(lower({result}), concat('[', char(9), '-', char(13), ']'), ' ')"
    result = f"regexp_replace({result}, '(?:https?://|www[.])[^ ]+', ' {LINK} ')"
    return f"regexp_replace({result}, '@[a-z0-9_]+', ' {MENTION} ')"


def tokens(text: str) -> str:
    """SQL for the tokens of a text: an array of strings, never null, framed by a start and an end token.

    Words lose their apostrophes (don't is dont), letters repeated three times or more are kept twice, runs of
    ! and ? and smileys are one token each. Up to three words after a negation appear a second time with
    a `~` before them (Das and Chen 2007; Pang, Lee and Vaithyanathan 2002): "not a good day" gives
    not a ~a good ~good day ~day.
    """
    result = f"translate(coalesce({normalised(text)}, ''), {_dropped_characters()})"
    result = f"regexp_replace({result}, concat('([^0-9 ])', {_BACKSLASH}, '1{{2,}}'), '$1$1')"
    follower = f"({_WORD}+ *)"
    result = (
        f"regexp_replace({result}, '{_NEGATION_BEGINS}(?<!{_WORD})({_NEGATION} +){follower}{follower}?{follower}?', "
        f"'$1$2 {NEGATED}$2$3 {NEGATED}$3$4 {NEGATED}$4')"
    )
    return f"regexp_extract_all(concat('{START} ', {result}, ' {END}'), '{_TOKEN}', 0)"


def distinct_tokens(text: str) -> str:
    """SQL for the different tokens of a text, each once, without the frame: an array of strings, never null."""
    return f"array_except({tokens(text)}, array('{START}', '{END}'))"


def terms(tokens_column: str) -> str:
    """SQL for the unigrams and bigrams (two tokens and a space between) of an array of tokens."""
    pairs = (
        f"zip_with(slice({tokens_column}, 1, size({tokens_column}) - 1), "
        f"slice({tokens_column}, 2, size({tokens_column}) - 1), (first, second) -> concat(first, ' ', second))"
    )
    return f"concat({tokens_column}, {pairs})"


STATISTICS = [
    "characters",
    "tokens",
    "exclamations",
    "questions",
    "mentions",
    "links",
    "dots",
    "commas",
    "quotes",
    "capitals",
    "negated",
    "starts_with_mention",
]


def statistics(text: str, tokens_column: str) -> list[str]:
    """SQL, one expression per name in STATISTICS, each a double: counts, and the share of capital letters."""
    text = f"substring(coalesce({text}, ''), 1, {MAX_CHARACTERS})"
    joined = f"array_join({tokens_column}, ' ')"

    def occurrences(of: str, within: str = text) -> str:
        return f"(length({within}) - length(replace({within}, '{of}', ''))) / {len(of)}"

    expressions = [
        f"length({text})",
        f"size({tokens_column}) - 2",
        occurrences("!"),
        occurrences("?"),
        occurrences(MENTION, joined),
        occurrences(LINK, joined),
        occurrences("."),
        occurrences(","),
        occurrences('"'),
        f"length(regexp_replace({text}, '[^A-Z]', '')) / greatest(length({text}), 1)",
        occurrences(NEGATED, joined),
        f"CASE WHEN {tokens_column}[1] = '{MENTION}' THEN 1 ELSE 0 END",
    ]
    return [f"CAST({expression} AS DOUBLE)" for expression in expressions]


def readable(text: Column) -> Column:
    """Whether a text holds anything but white space; null is not readable."""
    return F.coalesce(F.length(F.trim(text)) > 0, F.lit(False))


def _dropped_characters() -> str:
    """Two SQL strings for translate(): brackets become round, characters that patterns need as marks go."""
    replaced = "'[]{}', "
    return f"concat({replaced}char(39), char(96), {_BACKSLASH}, '’‘´', '^{NEGATED}'), '()()'"
