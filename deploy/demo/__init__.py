"""`python -m deploy.demo` (or `make demo`): the five services on local engines, and letters going their whole way through them.

It starts the engines, makes the topics, starts each service as a process of its own and a unit's system beside them, then lets 200 invented
letters be written, screened, assigned, answered, urged, published and counted. Each step is looked for afterwards in what the running
services show to everybody: HTTP and topics. The simulated clock begins on Monday 2026-02-09 08:30 and runs fast, so that ten working days,
the Spring Festival in between, pass in about a minute. Then everything stays up, at the speed of real time, until Ctrl-C.

Settings, all by environment, besides those of the engines and the services:

- `DEMO_EXIT=1`: end after the journey, with status 0 only if every step was seen to happen.
- `DEMO_INSTANCE`: whose engines and folder `.local/<name>` to use; `dev` if not given.
- `DEMO_PORT`: the port of intake; the other services have the next four, and the one before it is
  the one address for all of them. 8101 if not given.

A second run finds the journey done and its data there; `make reset` forgets it.
"""
