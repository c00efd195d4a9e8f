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

# Speed beside the bare framework, footprint and start; docs/performance.md says how to read it. Takes --growth.
bench *args:
    cargo bench --locked --bench http --no-run
    taskset -c 1 cargo bench --locked --bench http -- {{args}}

# Kills, power cuts and faults of the disk by the hundred. All of it needs root, mkfs.ext4 and strace.
torture:
    KYC_TORTURE=1 cargo test --release --locked --test it -- crash:: faults:: gone:: --nocapture --test-threads=1

# The tests whose names contain `filter`.
test filter="":
    cargo test --locked {{filter}}

# Mend the form of the code.
fmt:
    cargo fmt
