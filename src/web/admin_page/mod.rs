//! The admin page at `/admin`.

#[cfg_attr(not(test), expect(dead_code, reason = "the handlers call it"))]
mod mask;
#[cfg_attr(not(test), expect(dead_code, reason = "the handlers call it"))]
mod sheet;
