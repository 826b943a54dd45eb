"""Runs of the recipes, in processes of their own."""

import csv
import os
import pathlib
import subprocess
import sys

RECIPES = pathlib.Path(__file__).resolve().parents[1] / "recipes"


def command(recipe, *words):
    return [sys.executable, str(RECIPES / recipe), *map(str, words)]


ENVIRONMENT = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}


def run(recipe, *words):
    return subprocess.run(
        command(recipe, *words), capture_output=True, text=True, env=ENVIRONMENT
    )


def read_csv(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))
