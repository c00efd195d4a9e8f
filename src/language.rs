//! The languages in which people are spoken to, and the choice between two texts.
//!
//! Whoever says something to a person has it in both languages side by side, so that nothing is left untranslated.

/// The languages of our pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Also for whoever wants one that we have not.
    English,
    /// As it is written in America.
    Spanish,
}

impl Language {
    /// Every language; the first is the one for whoever does not care.
    pub const ALL: [Language; 2] = [Language::English, Language::Spanish];

    /// As `lang` attributes have it.
    pub fn tag(self) -> &'static str {
        self.choose("en", "es")
    }

    /// The one of these that is in this language. All that is said to a person comes from here.
    pub fn choose<T>(self, english: T, spanish: T) -> T {
        match self {
            Language::English => english,
            Language::Spanish => spanish,
        }
    }
}
