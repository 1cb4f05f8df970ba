"""What the front door is compared with: FastAPI and pydantic alone, which validate the same body and store nothing.

`python -m tests.bench.bare <port>`; uvicorn runs with the settings of the services.
"""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from services.intake.forms import Submission
from shared.web.serving import server_options
from tests.bench.mail import PATH

app = FastAPI()


class Taken(BaseModel):
    """The answer; as long as the real one."""

    receipt: str
    status_url: str
    received_at: str


@app.post(PATH, status_code=202)
async def take(submission: Submission) -> Taken:
    """Forget the letter."""
    return Taken(
        receipt="7K3M-9QXT-2HVD-5",
        status_url="/intake/receipts/7K3M-9QXT-2HVD-5",
        received_at=f"2026-03-02T01:00:00.{len(submission.subject):03d}Z",
    )


@app.get("/health/ready")
async def ready() -> dict[str, bool]:
    """It always is."""
    return {"ready": True}


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        timeout_graceful_shutdown=5,
        **server_options("bare"),
    )
