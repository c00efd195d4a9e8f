//! What the charts of the overview are drawn of. They have no text of their own, so that they can be as wide as the page; what
//! they say stands beside them.

use super::times::count;
use crate::census::month::Funnel;
use crate::web::page::Language;

/// One day of the chart of verdicts, in hundredths of its height.
pub struct Bar {
    /// Where it begins, in days.
    pub x: String,
    /// The upper end of those verified, whose lower end is the ground, and their height.
    pub verified: (String, String),
    /// The same of those rejected, who stand on them.
    pub rejected: (String, String),
    /// The day, as `2026-11-23`.
    pub day: String,
    /// How many were verified.
    pub verified_count: String,
    /// How many were rejected.
    pub rejected_count: String,
}

/// The bars of these days, each with how many were verified and rejected, and how many the highest stands for.
pub fn bars(days: &[(String, i64, i64)]) -> (Vec<Bar>, i64) {
    let most = days.iter().map(|(_, one, other)| one + other).max();
    let most = most.unwrap_or(0);
    let bar = |(place, (day, verified, rejected)): (usize, &(String, i64, i64))| {
        let height = |count: i64| 100.0 * share(count, most);
        let (low, high) = (height(*verified), height(*rejected));
        Bar {
            x: format!("{:.2}", place as f64 + 0.14),
            verified: (number(100.0 - low), number(low)),
            rejected: (number(100.0 - low - high), number(high)),
            day: day.clone(),
            verified_count: count(*verified),
            rejected_count: count(*rejected),
        }
    };
    (days.iter().enumerate().map(bar).collect(), most)
}

/// One step of the funnel.
pub struct Step {
    /// What it is.
    pub label: &'static str,
    /// How many got so far.
    pub count: String,
    /// How many in a hundred of the first step, where that is not this one.
    pub share: Option<String>,
    /// How long its bar is, in hundredths.
    pub width: String,
}

/// Attempts, of which some were submitted, of which some were decided.
pub fn funnel(language: Language, funnel: &Funnel) -> Vec<Step> {
    let links = funnel.opened;
    let step = |label, reached: i64, first: bool| Step {
        label,
        count: count(reached),
        share: Some(format!("{:.0} %", 100.0 * share(reached, links)))
            .filter(|_| !first && links > 0),
        width: number(100.0 * share(reached, links)),
    };
    vec![
        step(
            language.choose("Attempts begun", "Intentos iniciados"),
            links,
            true,
        ),
        step(
            language.choose("Submitted", "Enviados"),
            funnel.submitted,
            false,
        ),
        step(
            language.choose("Decided", "Decididos"),
            funnel.decided,
            false,
        ),
    ]
}

fn share(part: i64, whole: i64) -> f64 {
    if whole <= 0 {
        return 0.0;
    }
    (part as f64 / whole as f64).clamp(0.0, 1.0)
}

fn number(number: f64) -> String {
    format!("{:.2}", number.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_day_is_as_high_as_the_chart_and_nothing_is_higher() {
        let day = |name: &str, verified, rejected| (name.to_owned(), verified, rejected);
        let days = [day("a", 3, 1), day("b", 1, 1), day("c", 0, 0)];
        let (bars, most) = bars(&days);
        assert_eq!(most, 4);
        let drawn = |bar: &Bar| format!("{:?} {:?}", bar.verified, bar.rejected);
        assert_eq!(drawn(&bars[0]), r#"("25.00", "75.00") ("0.00", "25.00")"#);
        assert_eq!(drawn(&bars[1]), r#"("75.00", "25.00") ("50.00", "25.00")"#);
        assert_eq!(drawn(&bars[2]), r#"("100.00", "0.00") ("100.00", "0.00")"#);
        assert_eq!(bars[2].x, "2.14");
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        let (bars, most) = bars(&[("a".to_owned(), 0, 0)]);
        assert_eq!((bars.len(), most), (1, 0));
        let reached = |opened, submitted, decided| Funnel {
            opened,
            submitted,
            decided,
        };
        let steps = funnel(Language::English, &reached(0, 0, 0));
        assert!(
            steps
                .iter()
                .all(|step| step.width == "0.00" && step.share.is_none())
        );
        let steps = funnel(Language::English, &reached(8, 4, 1));
        assert_eq!(steps[1].share.as_deref(), Some("50 %"));
        assert_eq!(steps[2].width, "12.50");
    }
}
