//! Where a person may be sent after the hosted flow: the rule for `partnerRedirectUri`.
//!
//! The value is parsed once with the `url` crate and what is kept is the parsed value written out again, so that
//! what was checked is what the provider gets. The raw text is checked only where the parser mends what ought to be
//! refused: it drops tabs and line breaks, takes `\` for `/`, and takes `https:/x` and `https:///x` for `https://x`.
//! The provider accepts https and app schemes (`reference/userpartnercontrollerv2_createverificationlink`); plain
//! http on loopback is ours, for development. We never follow the URI ourselves.

use url::Url;

use crate::kyc::loopback::is_loopback;

use super::{Refusal, refuse};

const MAX_BYTES: usize = 2048;

/// Schemes that run code, read local data, or hand the person to something that is not the partner's app.
///
/// A list of what is forbidden never is complete; it stands in for the app schemes, which nobody can list.
const FORBIDDEN_SCHEMES: [&str; 68] = [
    // Script, and documents that carry their own content.
    "javascript",
    "livescript",
    "mocha",
    "vbscript",
    "vbs",
    "data",
    "blob",
    "about",
    "cid",
    "mid",
    "mhtml",
    "urn",
    "srcdoc",
    // Local data and the inside of browsers.
    "file",
    "filesystem",
    "content",
    "jar",
    "view-source",
    "wyciwyg",
    "resource",
    "res",
    "chrome",
    "chrome-extension",
    "chrome-search",
    "chrome-untrusted",
    "devtools",
    "edge",
    "brave",
    "opera",
    "moz-extension",
    "moz-icon",
    "safari-extension",
    "safari-web-extension",
    "ms-browser-extension",
    // Ways to start any app, or the system's own.
    "intent",
    "android-app",
    "ios-app",
    "android-intent",
    "market",
    "itms",
    "itms-apps",
    "itms-services",
    "ms-msdt",
    "ms-officecmd",
    "search-ms",
    "ms-settings",
    "applescript",
    "shortcuts",
    "prefs",
    "app-settings",
    // Other protocols.
    "ftp",
    "ftps",
    "sftp",
    "ws",
    "wss",
    "ssh",
    "telnet",
    "smb",
    "ldap",
    "ldaps",
    "gopher",
    // Messages and calls.
    "mailto",
    "tel",
    "sms",
    "smsto",
    "mms",
    "facetime",
    "facetime-audio",
];

/// Gives the URI to send on, or the first reason against it.
///
/// A forbidden scheme is named as such even when nothing after it looks like a URI, as in `javascript:x`.
pub(super) fn check(raw: &str) -> Result<String, Refusal> {
    if raw.len() > MAX_BYTES {
        return too_long();
    }
    if !raw
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    {
        return refuse(
            "redirect_characters",
            "Percent-encode everything but printable ASCII, and use no spaces and no backslashes.",
        );
    }
    let Some((scheme, rest)) = raw.split_once(':') else {
        return format();
    };
    let scheme = scheme.to_ascii_lowercase();
    if FORBIDDEN_SCHEMES.contains(&scheme.as_str()) {
        return refuse(
            "redirect_scheme",
            "Use https:// or the scheme of your own app, such as myapp://; this scheme is never allowed.",
        );
    }
    let is_web = scheme == "https" || scheme == "http";
    let Some(rest) = rest.strip_prefix("//") else {
        return format();
    };
    if is_web && rest.starts_with('/') {
        return format();
    }
    // The parser drops an empty user info, but who writes "https://@host" means something by it.
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return refuse(
            "redirect_credentials",
            "Remove the user name and password in front of the host.",
        );
    }
    let Ok(url) = Url::parse(raw) else {
        return format();
    };
    if url.scheme() == "http" && !is_loopback(&url) {
        return refuse(
            "redirect_insecure",
            "Use https; plain http is allowed only for localhost, 127.0.0.0/8 and [::1].",
        );
    }
    let kept = url.to_string();
    // Percent-encoding makes some characters three times as long.
    if kept.len() > MAX_BYTES {
        return too_long();
    }
    Ok(kept)
}

fn too_long<T>() -> Result<T, Refusal> {
    refuse(
        "redirect_too_long",
        "Use at most 2048 bytes, counted after percent-encoding.",
    )
}

fn format<T>() -> Result<T, Refusal> {
    refuse(
        "redirect_format",
        "Use an absolute URI such as https://partner.example/done or myapp://kyc/done.",
    )
}
