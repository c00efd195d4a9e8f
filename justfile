# What CI does, and a few shortcuts.

# Everything that lands or rejects a change.
check:
    bash .ci/run

# The service and a sandbox provider, nothing real.
demo *args:
    cargo run --release -- demo {{args}}

# Everything goes wrong, then each promise is called kept or broken.
chaos *args:
    cargo run --release -- chaos {{args}}

# The tests whose names contain `filter`.
test filter="":
    cargo test --locked {{filter}}

# Mend the form of the code.
fmt:
    cargo fmt
