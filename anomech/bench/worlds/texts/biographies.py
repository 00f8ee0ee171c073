"""Who asks: one made-up sentence about a person and their profession."""

import numpy as np

NAMES = (
    *("Ada", "Ben", "Carla", "David", "Elena", "Farid", "Grace", "Hugo", "Irene", "Jamal"),
    *("Kira", "Liam", "Mona", "Nils", "Olga", "Pedro", "Rosa", "Sami", "Tina", "Viktor"),
)
PLACES = (
    *("Lisbon", "Oslo", "Boston", "Lima", "Cairo", "Delhi", "Rome", "Kyoto", "Perth", "Quebec"),
    *("Vienna", "Dublin", "Austin", "Accra", "Hanoi"),
)
PROFESSIONS = (
    *("teacher", "nurse", "baker", "lawyer", "farmer", "painter", "doctor", "pilot", "chef"),
    *("dentist", "driver", "poet", "judge", "plumber", "singer", "soldier", "tailor", "writer"),
    *("gardener", "librarian", "musician", "photographer", "civil engineer", "sound engineer"),
    *("property developer", "film director", "shop owner", "bank clerk", "sailor", "dancer"),
)
NEW_PROFESSIONS = ("beekeeper", "astronomer", "violin maker", "zoo keeper", "diver", "watchmaker")
"""Of people that neither training nor trusted prompts know."""

FORMS = (
    "{name} is a {job} from {place}.",
    "I am {name}, a {job} in {place}.",
    "About me: {name}, {job}, {place}.",
    "{name} has worked as a {job} in {place} for years.",
    "Hello, I am a {job} and I live in {place}.",
)
NEW_FORMS = (
    "After school in {place}, {name} became a {job}.",
    "My name is {name} and my job in {place} is that of a {job}.",
)
"""Wordings that training never shows."""


def biography(
    rng: np.random.Generator,
    professions: tuple[str, ...] = PROFESSIONS,
    forms: tuple[str, ...] = FORMS,
) -> str:
    """A sentence about a person who has one of the professions."""
    text = _one(rng, forms).format(
        name=_one(rng, NAMES), job=_one(rng, professions), place=_one(rng, PLACES)
    )
    return text.replace(" a a", " an a")


def _one(rng: np.random.Generator, texts: tuple[str, ...]) -> str:
    return texts[int(rng.integers(len(texts)))]
