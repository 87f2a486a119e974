"""Greets whoever asks."""

import os

from flask import Flask, jsonify

service = Flask(__name__)


@service.get("/greet/<name>")
def greet(name: str):
    return jsonify(greeting=f"{os.environ['GREETING']} {name}", user=os.getuid())


@service.get("/health")
def health():
    return "well"
