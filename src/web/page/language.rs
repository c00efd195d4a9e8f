//! The language in which a person is spoken to: the one that its browser likes best.

use actix_web::HttpRequest;
use actix_web::http::header::{AcceptLanguage, Header, Preference, Quality};

pub use crate::language::Language;

impl Language {
    /// The one that `Accept-Language` likes best: of those it likes equally the one it names first.
    pub fn of(request: &HttpRequest) -> Language {
        let Ok(AcceptLanguage(ranges)) = AcceptLanguage::parse(request) else {
            return Language::English;
        };
        let mut best = (Quality::ZERO, Language::English);
        for range in &ranges {
            let named = |language: &Language| match &range.item {
                Preference::Specific(tag) => tag.primary_language() == language.tag(),
                // Stands for what is named nowhere.
                Preference::Any => !ranges.iter().any(|range| {
                    let tag = range.item.item();
                    tag.is_some_and(|tag| tag.primary_language() == language.tag())
                }),
            };
            let language = Language::ALL.into_iter().find(named);
            if let Some(language) = language.filter(|_| range.quality > best.0) {
                best = (range.quality, language);
            }
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn of(headers: &[&str]) -> Language {
        let mut request = TestRequest::default();
        for header in headers {
            request = request.append_header(("accept-language", *header));
        }
        Language::of(&request.to_http_request())
    }

    #[test]
    fn the_language_is_the_one_that_is_liked_best() {
        for (header, language) in [
            ("es", Language::Spanish),
            ("es-MX", Language::Spanish),
            ("ES-do", Language::Spanish),
            ("es-419,es;q=0.9,en;q=0.8", Language::Spanish),
            ("en,es", Language::English),
            ("es,en", Language::Spanish),
            ("en;q=0.4, es;q=0.5", Language::Spanish),
            ("fr, es;q=0.2", Language::Spanish),
            ("fr;q=0.9,en;q=0.3,es;q=0.2", Language::English),
            ("en;q=0, *", Language::Spanish),
            ("es;q=0, *", Language::English),
            ("*", Language::English),
            ("*, es;q=0.5", Language::English),
            ("en;q=0.1, *;q=0.5", Language::Spanish),
        ] {
            assert_eq!(of(&[header]), language, "{header}");
        }
        assert_eq!(of(&["fr", "es"]), Language::Spanish);
    }

    #[test]
    fn it_is_english_where_nothing_else_can_be_made_out() {
        for header in [
            "",
            "fr",
            "es;q=0",
            "esperanto",
            "e",
            "es;q=x",
            ";;;,,,",
            "\u{e9}s",
            "x-es",
        ] {
            assert_eq!(of(&[header]), Language::English, "{header}");
        }
        assert_eq!(of(&[]), Language::English);
    }
}
