//! Which addresses can only mean this machine: the one exception to "https only", wherever that is asked for.

use url::{Host, Url};

/// Whether the host is `localhost`, 127.0.0.0/8 or `[::1]`.
///
/// Looks at the parsed host and never at the text, so that `127.0.0.1.example` is none and `0x7f.1` is one.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_means_this_machine_is_loopback() {
        for (url, expected) in [
            ("http://localhost/", true),
            ("http://127.0.0.1:9/", true),
            ("http://0x7f.1/", true),
            ("http://[::1]/", true),
            ("http://127.0.0.1.example/", false),
            ("http://localhost.example/", false),
            ("http://localhost./", false),
            ("http://0.0.0.0/", false),
            ("http://[::ffff:127.0.0.1]/", false),
            ("data:localhost", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
