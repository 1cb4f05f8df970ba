"""Following a letter by its receipt code: for the page and for portals alike (R8.3)."""

from dataclasses import dataclass

from services.intake.citizen import Standing, standing
from services.intake.domain import Letter
from services.intake.front_door import FrontDoor
from services.intake.repository import find_by_receipt
from services.intake.voice import CHINESE, Voice
from shared.contracts.errors import NotFound
from shared.directory import Directory
from shared.messaging.letters import Letters
from shared.security.guessing import GuessPenalty
from shared.security.receipts import MistypedReceipt, parse_receipt, receipt_key
from shared.web.problems import Problem


@dataclass(frozen=True)
class Following:
    """Looks a letter up; needs only its receipt code."""

    door: FrontDoor
    letters: Letters[Letter]
    directory: Directory
    guesses: GuessPenalty

    async def standing(self, code: str, address: str, voice: Voice = CHINESE) -> Standing:
        """Return where the letter of a receipt code stands. A typing error is told at once; wrong codes make the next try wait.

        Raises:
            Problem: the code has a typing error (422), or the address has to wait (429).
            NotFound: no letter has the code.
            StoreUnavailable: the store is away.
        """
        try:
            receipt = parse_receipt(code)
        except MistypedReceipt as error:
            raise Problem(
                422,
                "查询码有误 / The receipt code has a typing error",
                f"{error.reason_zh} / {error.reason}",
                slug="mistyped-receipt",
                rule="R2.2",
            ) from None
        self.guesses.check(address)
        stored = await find_by_receipt(self.letters.aggregates, receipt_key(self.door.secret, receipt))
        if stored is None or stored.state is None:
            if not self.door.just_given(receipt):
                self.guesses.wrong(address)
            raise NotFound(
                "R2.2",
                "没有找到这个查询码的来信；刚提交的来信请稍候几秒再查 / No letter has this receipt code; "
                "a letter that was just sent may need a few seconds",
            )
        return standing(stored.state, self.directory, await self._repeated(stored.state), voice)

    async def _repeated(self, letter: Letter) -> Letter | None:
        """Return the letter that this one repeats, if it is the same citizen's: nobody learns of another's letter."""
        discarded = letter.discarded
        if discarded is None or discarded.earlier_letter is None or not discarded.same_sender:
            return None
        return (await self.letters.aggregates.get(discarded.earlier_letter)).state
