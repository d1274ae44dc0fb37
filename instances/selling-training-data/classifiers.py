"""Four classifiers of wines, each trained on the same 15 bottles and counted on the other 163.

    python classifiers.py

writes bayes.confusion.csv and the others beside this file. It needs scikit-learn, which optmarket does not: the files are there
without it. Bottles and their three cultivars are the wine data that come with scikit-learn (there class_0, class_1 and class_2).
With so few bottles to learn from each method errs in its own way: naive Bayes takes 21 Barolo for Barbera, the linear classifier
11 Barbera for Barolo.
"""

from __future__ import annotations

import csv
from pathlib import Path

from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

CULTIVARS = ["Barolo", "Grignolino", "Barbera"]
CLASSIFIERS = {
    "bayes": GaussianNB(),
    "linear": LogisticRegression(max_iter=5000),
    "neighbour": KNeighborsClassifier(n_neighbors=1),
    "tree": DecisionTreeClassifier(random_state=0),
}

wines = load_wine(as_frame=True)
measured = wines.data[["alcohol", "color_intensity", "hue"]].to_numpy()
train, test, train_cultivar, test_cultivar = train_test_split(
    measured, wines.target.to_numpy(), train_size=15, stratify=wines.target, random_state=0
)
for name, classifier in CLASSIFIERS.items():
    counts = confusion_matrix(test_cultivar, classifier.fit(train, train_cultivar).predict(test))
    with Path(__file__).with_name(f"{name}.confusion.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["true", *CULTIVARS])
        table.writerows([cultivar, *row] for cultivar, row in zip(CULTIVARS, counts.tolist(), strict=True))
