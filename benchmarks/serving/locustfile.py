"""The load of `python -m benchmarks.serving`: one user after another request, no pause.

Read by locust, which may live in another environment: imports nothing of ours.
"""

import os
import pathlib

from locust import HttpUser, task

BODY = pathlib.Path(os.environ["COVSEG_LOAD_BODY"]).read_bytes()
PATH = os.environ["COVSEG_LOAD_PATH"]


class Caller(HttpUser):
    @task
    def predict(self):
        with self.client.post(
            PATH,
            data=BODY,
            headers={"Content-Type": "application/json"},
            catch_response=True,
        ) as response:
            # A success without a prediction in it is a failure too.
            if (
                response.status_code == 200
                and b"lung_png_bytes" not in response.content
            ):
                response.failure("no prediction in the answer")
