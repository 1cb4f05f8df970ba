"""Local engines: a real Apache Kafka and a real document store, for development, demonstrations and tests.

Commands (`python -m deploy.engines --help`)::

    python -m deploy.engines up       # fetch what is missing, start what does not run, print KAFKA_BOOTSTRAP and MONGO_URL
    python -m deploy.engines status   # what runs where (--json for programs)
    python -m deploy.engines down     # stop; data stays
    python -m deploy.engines reset    # stop and forget the data

`--name NAME` works on another instance than `dev`: each has its own processes, ports and data. From Python::

    engines = Engines("test")
    urls = engines.up()               # urls.kafka_bootstrap, urls.mongo_url, urls.environment()
    engines.kill("kafka")             # or "postgres", "ferretdb", "store"; stop() and start() likewise
    engines.start("kafka")
    engines.reset()

What runs: Apache Kafka (Java, fetched with Maven, pinned in `pom.xml`); PostgreSQL with the DocumentDB extension (Debian
packages from the host's own mirror, unpacked, not installed); FerretDB before it (built with Go). Fetched software stays in
`~/.cache/xinxiang/engines` (`XDG_CACHE_HOME`); data, logs and records of processes are in `.local/<name>`. Started by root,
PostgreSQL runs as the user `nobody`; where a closed home folder would keep that user out, software goes to `/var/cache`
and PostgreSQL's data to `/var/lib/xinxiang`. Engines listen on 127.0.0.1 only, without passwords: not for production.

Settings, all by environment:

- `KAFKA_BOOTSTRAP`, `MONGO_URL`: engines that are there already; only what is not given is started here.
- `XINXIANG_<NAME>_<ENGINE>_PORT` (`KAFKA`, `CONTROLLER`, `FERRETDB`, `POSTGRES`): a port. `dev` has 19092, 19093, 17017 and
  15432; other names get free ports, remembered in `.local/<name>/instance.json`.
- `XINXIANG_ENGINES=local`: do not use Docker, which is otherwise preferred where its daemon answers (`deploy/compose.yaml`).
- `ENGINES_FOLDER`: where the folders of instances are, instead of `.local`.
- `XDG_CACHE_HOME`: where fetched software goes.

Other programs may keep processes in an instance's folder with `Process(name, engines.folder)`; `down` stops them first.
"""

from deploy.engines.errors import EngineError
from deploy.engines.instance import Engines, Urls
from deploy.engines.processes import Process

__all__ = ["EngineError", "Engines", "Process", "Urls"]
