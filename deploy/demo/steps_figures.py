"""Step 7: the week's figures as JSON and as a page, against a plain recount."""

from datetime import date

from deploy.demo import plan
from deploy.demo.recount import difference, on_page, recount, shown
from deploy.demo.stage import NotSeen, Story, at, eventually, expect

LAST_DAY = date.fromisoformat(plan.LAST_DAY)
_PAGE = ("received", "read_late", "registered", "discarded", "noted", "answered", "published", "withheld", "assigned")


async def count(story: Story) -> None:
    """The fourth week ends; on Monday morning its bulletin is there."""
    await story.pass_until(at(plan.COUNTED))


async def counted(story: Story) -> str:
    """Each week's JSON and page are what a recount of our own doings gives; so are the whole city's figures."""
    city = story.city
    names = {mailbox.name: mailbox.code for mailbox in city.directory.mailboxes()}
    total = 0
    for week, (first, end) in plan.WEEKS.items():
        wanted = recount(story, "mayor", date.fromisoformat(first), date.fromisoformat(end), LAST_DAY)

        async def differing(week: str = week, wanted: dict[str, object] = wanted) -> object:
            found = (await city.week(week))["figures"]
            return difference(wanted, shown(found))

        await eventually(f"figures of {week} that differ: (recounted, shown)", {}, differing)
        html = await city.page(f"/reporting/weeks/{week}/page")
        for_page = {name: wanted[name] for name in _PAGE}
        differs = difference(for_page, on_page(html, names))
        if differs:
            raise NotSeen(f"figures on the page of {week} that differ: (recounted, shown)", {}, differs)
        total += wanted["received"] + wanted["answered"] + wanted["published"]
    numbers = await _issued(story)
    listed = {week["week"] for week in await city.weeks()}
    expect(
        "weeks of the journey in the list of weeks",
        {"2026-W07", "2026-W09", "2026-W10"},
        listed & set(plan.WEEKS) - {"2026-W08"},
    )
    first, end = plan.POSTED, plan.COUNTED
    wanted = recount(story, None, date.fromisoformat(first), date.fromisoformat(end), LAST_DAY)

    async def whole_city() -> object:
        return difference(wanted, shown(await city.figures(None, first, end)))

    await eventually("figures of the whole city that differ: (recounted, shown)", {}, whole_city)
    return (
        f"{len(plan.WEEKS)} 期周报已印发（{numbers}），数据和页面与逐件重数一致（全市收到 {wanted['received']} 封） / "
        "issued, and equal to a recount"
    )


async def _issued(story: Story) -> str:
    """Return the numbers of the weekly bulletins, which made themselves, once each; each must be as it was issued (R11.2)."""
    duty = story.city.token("mayor", "duty_officer")
    wanted = [f"weekly-mayor-{week}" for week in plan.WEEKS]

    async def made() -> object:
        issues = await story.city.pages("/reporting/issues", duty, series="weekly")
        return sorted(issue["id"] for issue in issues)

    await eventually("weekly bulletins that were issued", wanted, made)
    issues = {issue["id"]: issue for issue in await story.city.pages("/reporting/issues", duty, series="weekly")}
    for name in wanted:
        kept = (await story.city.ask("GET", f"/reporting/issues/{name}/verification", headers=duty)).json()
        expect(f"{name} is as it was issued", True, kept["intact"])
    return "、".join(f"第{issues[name]['serial']}期" for name in wanted)
