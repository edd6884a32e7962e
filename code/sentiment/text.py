"""From a raw tweet to its tokens: SQL expressions, so that the registered model needs nothing but Spark.

The expressions stand inside the registered pipeline. They hold no backslash, because a parser setting changes
what one means (`spark.sql.parser.escapedStringLiterals`), and repeat single characters only: a repeated group
in a Java pattern overflows the stack on long texts.
"""

import re

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812

MAX_CHARACTERS = 20_000
"""Characters of a text that are looked at; a tweet has a few hundred, but a model must survive anything."""

LINK, MENTION = "xlinkx", "xmentionx"
START, END = "xstartx", "xendx"
NEGATED = "~"
"""Prefix of the copy of a word that stands within three words after a negation."""

BETWEEN_CLAUSES = f"[.,!?]+|but|{LINK}|{START}|{END}"
"""Pattern of the tokens that stand between two clauses; Java and pyarrow read it alike."""

# Single characters, because Java looks them up in a table and tries ranges in turn.
_BETWEEN = r' !"#$%&()*+,./:;<=>?@\[\]{|}~-'  # white space and ASCII punctuation; quotes and the like are gone by then
_WORD = f"[^{_BETWEEN}]"  # words of every script, digits, emoji, underscore
_DROPPED = rf"['`^{NEGATED}\\´‘-’]+"
_NEGATION = (
    "(?:not|no|nor|never|cannot|without|hardly|nothing|nobody|none|"
    "(?:ca|do|does|did|wo|is|ai|was|were|have|has|had|would|could|should|are)nt)"
)
_NEGATION_BEGINS = "(?=[acdhinsw][aehiors])"  # tried first at every character, because it is cheap
_SPECIAL = re.compile(r"(['\\])")
_ENTITIES = [("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&nbsp;", " "), ("&#39;", "")]
_TOKEN = (  # words first, because most are; a smiley may begin with 8
    rf"({NEGATED}?[^8{_BETWEEN}]{_WORD}*"
    r"|[:;=8][-o*]?(?:[()\[\]{}/|*3]+|[dp](?![a-z0-9]))"  # :) ;-( =D :/ and their kin
    r"|[()\[\]{}][-o]?[:;=]"  # (: and ):
    "|<3+"
    f"|{NEGATED}?{_WORD}+"
    "|[!?]+|[.][.]+"
    f"|[^ {NEGATED}]) *"
)


def normalised(text: str) -> str:
    """SQL for a text lower-cased on one line, entities decoded once, links and mentions each one word.

    Args:
        text: SQL expression of a string; null gives null.
    """
    # Bytes are known, characters have to be counted.
    whole = f"if(octet_length({text}) > {MAX_CHARACTERS}, substring({text}, 1, {MAX_CHARACTERS}), {text})"
    decoded = whole
    for entity, meaning in _ENTITIES:
        decoded = f"replace({decoded}, '{entity}', '{meaning}')"
    result = f"if(contains({whole}, '&'), {decoded}, {whole})"  # few texts have entities, and six searches cost
    result = _replaced(f"lower({result})", r"[\t-\r]", " ")
    result = _replaced(result, "(?=[hw])(?:https?://|www[.])[^ ]+", f" {LINK} ")
    return _replaced(result, "@[a-z0-9_]+", f" {MENTION} ")


def tokens(text: str) -> str:
    """SQL for the tokens of a text: an array of strings, never null, framed by a start and an end token.

    Words lose their apostrophes (don't is dont), letters repeated three times or more are kept twice, runs of
    ! and ? and smileys are one token each. Up to three words after a negation appear a second time with
    a `~` before them (Das and Chen 2007; Pang, Lee and Vaithyanathan 2002): "not a good day" gives
    not a ~a good ~good day ~day.
    """
    result = _replaced(f"coalesce({normalised(text)}, '')", _DROPPED, "")
    result = _replaced(result, r"([^0-9 ])\1\1+", "$1$1")
    follower = f"({_WORD}+ *)"
    negation = rf"{_NEGATION_BEGINS}(?<!{_WORD})({_NEGATION} +){follower}{follower}?{follower}?"
    result = _replaced(result, negation, f"$1$2 {NEGATED}$2$3 {NEGATED}$3$4 {NEGATED}$4")
    return f"regexp_extract_all(concat('{START} ', {result}, ' {END}'), {_literal(_TOKEN)}, 1)"


def distinct_tokens(text: str) -> str:
    """SQL for the different tokens of a text, each once, without the frame: an array of strings, never null."""
    return f"array_except({tokens(text)}, array('{START}', '{END}'))"


def terms(tokens_column: str) -> str:
    """SQL for the unigrams and bigrams (two tokens and a space between) of an array of tokens, then its last clause's.

    So they count twice: how a text ends says more than how it begins (Becker and Aharonovitz 2010).
    """
    counted = "greatest(size(words) - 1, 0)"
    pairs = (
        f"zip_with(slice(words, 1, {counted}), slice(words, 2, {counted}), "
        "(first, second) -> concat(first, ' ', second))"
    )
    both = f"array({tokens_column}, {last_clause(tokens_column)})"
    return f"flatten(transform({both}, words -> concat(words, {pairs})))"


def last_clause(tokens_column: str) -> str:
    """SQL for the last tokens in a row of which none is BETWEEN_CLAUSES; empty if all are.

    "i hate mondays , but this one is fun !! xlinkx" has this one is fun.
    """
    clauses = f"split(array_join({tokens_column}, ' '), '(?:^| )(?:{BETWEEN_CLAUSES})(?= |$)')"
    last = f"get(reverse(filter({clauses}, clause -> clause != '')), 0)"
    return f"filter(split(coalesce({last}, ''), ' '), word -> word != '')"


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
    """Whether a text holds anything but white space, Unicode's included; null is not readable."""
    return F.coalesce(text.rlike(r"(?U)\S"), F.lit(False))


def _replaced(text: str, pattern: str, by: str) -> str:
    """SQL for a text with every match of a Java pattern replaced."""
    return f"regexp_replace({text}, {_literal(pattern)}, '{by}')"


def _literal(pattern: str) -> str:
    """SQL for a pattern: quotes and backslashes by their numbers."""
    pieces = [f"char({ord(piece)})" if piece in ("'", "\\") else f"'{piece}'" for piece in _SPECIAL.split(pattern)]
    return f"concat({', '.join(pieces)})" if len(pieces) > 1 else pieces[0]
