"""What columns are usually called, by the part they play."""

from __future__ import annotations

import re
from collections.abc import Sequence

ROLES = ("messages", "prompt", "input", "completion", "system", "history", "tools", "thinking", "text")
"""What a mapping can name; `thinking` is what the answer's author thought before answering."""
ALIASES: dict[str, tuple[str, ...]] = {
    "prompt": (
        *("instruction", "prompt", "question", "query", "problem", "user", "human", "request", "inputs", "input"),
        "context",
    ),
    "completion": (
        *("output", "completion", "response", "answer", "assistant", "solution", "target", "targets", "reply"),
        *("chosen", "outputs", "answers", "summary", "highlights", "label"),
    ),
    "system": ("system", "system_prompt", "systeminstruction", "system_instruction"),
    "history": ("history", *(f"{what}_history" for what in ("chat", "conversation", "dialogue", "dialog", "message"))),
    "tools": ("tools", "functions"),
    "input": ("input", "context"),
    "thinking": (),
    "text": ("text", "content", "document", "article", "body", "passage", "sentence", "review"),
    "messages": (
        *("messages", "conversations", "conversation", "dialogue", "dialog", "chat", "turns", "contents", "chosen"),
    ),
}
LABELS = ("label_text", "label", "labels", "class", "sentiment", "emotion", "intent")
"""Classes of a text, as names or as numbers."""
MARKS = ("label", "kto_tag", "desirable", "is_desirable")
"""True or false for a good or a bad answer (the layout of KTO)."""
QUALITY = ("correct", "is_correct", "passed", "is_passed", "accepted", "is_accepted", "valid", "is_valid", "is_good")
"""True or false for a good or a bad answer, as sets of generated answers carry it."""
GOOD_MARKS = (
    *("keep", "include", "included", "selected", "training", "is_training", "use_for_training"),
    *("thumbs_up", "thumbsup", "liked", "helpful", "is_helpful", "upvoted", "approved", "is_approved", "verified"),
    *(
        "is_verified",
        "good",
        "success",
        "is_success",
        "successful",
        "solved",
        "is_solved",
        "resolved",
        "safe",
        "is_safe",
    ),
)
"""True or false for a good or a bad answer, as users and reviewers leave it."""
DEFECTS = (
    *("deleted", "is_deleted", "removed", "flagged", "is_flagged", "spam", "is_spam", "toxic", "is_toxic", "hidden"),
    *("bad", "is_bad", "invalid", "is_invalid", "wrong", "incorrect", "skip", "ignore", "exclude", "excluded"),
)
"""True for a row that was found bad."""
BAD_WORDS = (
    "rejected",
    "reject",
    "bad",
    "thumbs_down",
    "thumbs-down",
    "dislike",
    "fail",
    "failed",
    "wrong",
    "incorrect",
)
"""Cells of a bad row, in a column of whatever name."""
GAPS = ("nan", "null", "#n/a", "#ref!", "undefined")
"""What tables write for an empty cell."""
NOTHING = (*GAPS, "none", "n/a", "na", "<na>", "<noinput>", "noinput", "no input")
"""What tables write for an empty cell in a column that is often empty, such as `input`."""
ENDINGS = ("finish_reason", "stop_reason", "done_reason")
"""Why a model ended an answer, as its server says it."""
CUT_OFF = ("length", "max_tokens", "max_length", "max_output_tokens", "model_length")
"""It was not allowed more tokens."""
RATINGS = (
    "rating",
    "ratings",
    "score",
    "scores",
    "stars",
    "quality",
    "reward",
    "helpfulness",
    "upvotes",
    "votes",
    "vote",
    "feedback",
)
ABOUT_ANSWERS = frozenset(
    {*RATINGS, "model", "models", "source", "rank", "avg", "average", "margin", "logprob", "logprobs", "logp", "logps"}
    | {"length", "len", "tokens", "count", "num", "prob", "confidence", "policy", "generator", "reason", "rationale"}
    | {"feedback", "critique", "annotator", "category", "type", "label"}
)
"""Words in the names of columns that tell something about a better and a worse answer, such as `chosen_model`."""
WEIGHTS = ("weight", "weights", "loss_weight", "sample_weight", "train", "is_train")
"""How much a row counts: 0 or false for one that is not to be trained on."""
SPLITS = ("split", "subset", "partition", "fold", "set", "data_split", "dataset_split")
"""Columns that say to which split a row belongs."""
WINNERS = ("chosen", "preferred", "pos", "positive", "winner", "winning", "better", "accepted", "good")
LOSERS = (
    *("rejected", "reject", "dispreferred", "nonpreferred", "neg", "negative", "loser", "losing", "worse", "bad"),
)
RIVALS = (("a", "b"), ("0", "1"), ("1", "2"), ("j", "k"))
"""Endings of the names of two answers to one question; another column says which is better."""
ANSWERS = (
    "answer",
    "response",
    "completion",
    "output",
    "conversation",
    "messages",
    "reply",
    "summary",
    "generation",
    "solution",
    "ref",
)
PERSONAS = ("system", "persona", "character")
MEDIA = (
    *("image", "images", "img", "imgs", "image_path", "image_paths", "image_url", "image_urls", "image_file"),
    *("picture", "photo", "pixel_values", "video", "videos", "audio", "audios", "jpg", "png"),
)
MEDIA_WORDS = frozenset(
    {"image", "images", "img", "imgs", "picture", "photo", "screenshot", "screenshots"}
    | {"video", "videos", "audio", "audios"}
)
CONVERSATION_IDS = (
    "conversation_id",
    "conv_id",
    "dialog_id",
    "dialogue_id",
    "session_id",
    "thread_id",
    "chat_id",
    "id",
)
TURN_NUMBERS = (
    *("turn", "turn_id", "turn_index", "turn_number", "turn_idx", "turn_no", "turn_num", "message_index"),
    *("message_number", "message_idx", "utterance_index", "utterance_idx", "sequence", "seq", "index", "position"),
    *("order", "step"),
)
TIMES = ("timestamp", "created_at", "create_time", "sent_at", "datetime", "time", "date")
"""Columns that say when a turn was said."""
ABOUT_AN_ANSWER = frozenset(
    {"explanation", "explanations", "critique", "critiques", "revision", "attempt", "draft", "evaluation", "judgement"}
    | {"prediction", "predicted", "gold", "golden", "wrong", "incorrect", "negative", "negatives"}
)
"""Words in the names of columns that were written after an answer, or instead of it: no part of a question."""
EARLIER = frozenset({"history", "previous", "prior", "past", "earlier"})
"""Words in the names of columns that hold what was said before a question."""
THINKING = re.compile(r"(?:^|_)(?:cot|thinking|thought|thoughts|reasoning|rationale|chain_of_thought)(?:$|_)")
IDENTIFIER = re.compile(r"(?:^|_)(?:id|ids|uuid|guid|idx|index|hash|sha|md5|url|uri|link|date|time|timestamp)$")


def named(columns: Sequence[str], role: str) -> str | None:
    """The column whose name is usual for this role, in the aliases' order."""
    return by_names(columns, ALIASES[role])


def by_names(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """The first of `names` that a column has, whatever the case."""
    by_name = {column.lower().strip(): column for column in reversed(columns)}
    return next((by_name[name] for name in names if name in by_name), None)


def words(column: str) -> list[str]:
    """The words of a column's name: `scoreChosen` and `score_chosen` are score and chosen."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column.strip()).lower()
    return re.split(r"[^a-z0-9]+", re.sub(r"non[-_ ](?=preferred)", "non", name))


def is_identifier(column: str) -> bool:
    """By its name the column tells rows apart, or says where and when they come from."""
    return IDENTIFIER.search("_".join(words(column))) is not None


def preference(columns: Sequence[str]) -> tuple[str, str] | None:
    """The columns of the better and the worse answer, which differ in this one word.

    Of several such pairs, the one whose names say least besides; never one that only tells something about answers.
    """
    parts = {column: words(column) for column in columns}
    answers = [column for column in columns if ABOUT_ANSWERS.isdisjoint(parts[column]) and not is_identifier(column)]
    losers = [column for column in answers if not set(LOSERS).isdisjoint(parts[column])]
    pairs = [(winner, loser) for loser in losers for winner in answers if _differ(parts[winner], parts[loser])]
    return min(pairs, key=lambda pair: len(parts[pair[1]]), default=None)


def is_about_answers(column: str) -> bool:
    """By its name the column tells something about a better or a worse answer, such as `chosen_model`."""
    parts = set(words(column))
    return not parts.isdisjoint({*WINNERS, *LOSERS}) and not parts.isdisjoint(ABOUT_ANSWERS)


def rivals(columns: Sequence[str]) -> tuple[str, str] | None:
    """Two columns of answers, neither of which is named as the better one."""
    by_words = {tuple(_split_digits(column)): column for column in columns}
    for parts, column in by_words.items():
        for first, second in RIVALS:
            other = by_words.get((*parts[:-1], second))
            if other and parts[-1] == first and set(parts) & set(ANSWERS):
                return column, other
    return None


def _split_digits(column: str) -> list[str]:
    return words(re.sub(r"(?<!\d)(\d+)$", r"_\1", column))


def _differ(better: list[str], worse: list[str]) -> bool:
    if len(better) != len(worse):
        return False
    different = [(x, y) for x, y in zip(better, worse, strict=True) if x != y]
    return len(different) == 1 and different[0][0] in WINNERS and different[0][1] in LOSERS
