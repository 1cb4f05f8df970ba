"""Programs from the Go registry that only tests and the demonstration use, pinned."""

GO_TOOLS = {
    "toxiproxy": ("github.com/Shopify/toxiproxy/v2/cmd/server", "2.12.0"),
    "kustomize": ("sigs.k8s.io/kustomize/kustomize/v5", "5.6.0"),
}
"""Programs that only tests use, each built in a folder of its own: name → package and version in the Go registry."""
GO_MODULES = {
    "dex": (
        "github.com/dexidp/dex/cmd/dex",
        "2.41.1",
        (
            # The registry has Dex 2 by commit only; this one is v2.41.1. Its own file puts another version of its API beside it.
            "github.com/dexidp/dex@v0.0.0-20240807174518-43956db7fd75",
            "github.com/dexidp/dex/api/v2@v2.2.0",
        ),
    ),
}
"""Those that are built inside a module which names their parts, with a C compiler: name → package, version, parts."""
