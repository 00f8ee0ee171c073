"""Audit a backdoored digit classifier in a few lines of Python: `python examples/digits.py`."""

import numpy as np

import anomech
from anomech.architectures.digits import DigitsNet
from anomech.attacks.badnets import Badnets
from anomech.data.digits import load_digits
from anomech.data.splits import stratified
from anomech.learning.training import Recipe, train

images, labels = load_digits()
training, trusted, rest = stratified(labels, [0.45, 0.35, 0.2], seed=0, purpose="example")
attack = Badnets(size=2, ratio=0.1)
poisoned = attack.poison(images[training], labels[training], seed=0)
recipe = Recipe(epochs=30, batch=64, peak=0.1, augment="none")
model = train(DigitsNet(), poisoned.inputs, poisoned.labels, recipe, seed=0)

# What a user does starts here: a model, examples they trust, inputs they wonder about.
task = anomech.ImageClassifier(model)
reference = anomech.from_arrays(images[trusted], labels[trusted])
inputs = anomech.from_arrays(np.concatenate([images[rest], attack.stamp(images[rest][:100])]))

auditor = anomech.Auditor(budget=0.01).fit(task, reference)
verdicts = auditor.score(inputs)

flagged = [verdict for verdict in verdicts if verdict.decision == "flag"]
print(f"{len(flagged)} of {len(verdicts)} inputs flagged; the last 100 carry the trigger.")
print(f"So many happen by chance with probability {auditor.chance(verdicts):.1g}.")
for verdict in flagged[-3:]:
    print(f"{verdict.id}: answered {verdict.answer}, p = {verdict.p_value:.4f}. {verdict.reason}")
