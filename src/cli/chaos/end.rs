//! The end of a run: the provider works again, time passes until nothing moves any more, and all that is left to see is
//! written down.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::ensure;
use reqwest::Method;
use serde_json::Value;

use super::judge::{Change, Evidence, Person, Webhook};
use super::play::Play;
use crate::capa::sandbox::{Acknowledged, Fault, Mode};

/// Time passes in steps that are shorter than what counts as a standstill.
const STEP: Duration = Duration::from_secs(20 * 60);
/// Six hours of them, the pause between looks at who is undecided.
const STEPS: u32 = 18;
/// Nothing moves any more when nothing has for twelve times six hours.
const QUIET: u32 = 12;
/// But nobody waits for longer than a month.
const LONGEST: u32 = 120;

/// Lets the run come to rest and gives all that was seen.
///
/// # Errors
/// When the run cannot be brought to its end.
pub async fn end(mut play: Play) -> anyhow::Result<Evidence> {
    play.world.stage.sandbox.set_fault(Fault::new(Mode::None));
    // Whoever's last request failed asks once more, or an attempt would have no session that could decide it; and who
    // has not asked yet does now.
    for person in 0..play.people.len() {
        if !play.people[person].is_linked || !play.people[person].has_asked {
            play.link(person, false).await;
        }
    }
    rest(&mut play).await?;
    let (statuses, truths) = (statuses(&play).await, truths(&play).await);
    let during_replays = replay_all(&mut play, statuses.clone()).await;
    rest(&mut play).await?;
    let after_replays = self::statuses(&play).await;
    let mut people = Vec::new();
    for (number, truth) in truths.into_iter().enumerate() {
        people.push(Person {
            name: play.people[number].user_id.clone(),
            status: statuses[number].clone(),
            truth,
            during_replays: during_replays[number].clone(),
            after_replays: after_replays[number].clone(),
            history: history(&play, number).await,
        });
    }
    play.evidence.people = people;
    play.evidence.webhooks = webhooks(&play).await?;
    play.search()?;
    play.world.cut_off().await?;
    play.search()?;
    play.world.end().await?;
    Ok(play.evidence)
}

/// Sends everything once more that was ever acknowledged, and gives the statuses as somebody read them who read at the
/// worst moment.
async fn replay_all(play: &mut Play, mut statuses: Vec<String>) -> Vec<String> {
    for webhook in play.world.stage.sandbox.acknowledged() {
        play.replay(&webhook.account, &webhook.body).await;
        for (number, status) in statuses.iter_mut().enumerate() {
            if status != "verified" && is_about(&webhook, play, number) {
                *status = self::status(play, number).await;
            }
        }
    }
    statuses
}

fn is_about(webhook: &Acknowledged, play: &Play, person: usize) -> bool {
    let person = &play.people[person];
    let account = &play.world.stage.partners[person.partner].id;
    let name = format!("\"{}\"", person.external_user_id);
    webhook.account == *account && webhook.body.contains(&name)
}

/// Lets time pass until no status has changed for three days.
async fn rest(play: &mut Play) -> anyhow::Result<()> {
    play.world.stage.sandbox.settled().await;
    let (mut before, mut quiet) = (Vec::new(), 0);
    for _ in 0..LONGEST {
        for _ in 0..STEPS {
            play.world.pass(STEP).await?;
        }
        play.watch().await;
        let now = statuses(play).await;
        quiet = if now == before { quiet + 1 } else { 0 };
        if quiet == QUIET {
            break;
        }
        before = now;
    }
    Ok(())
}

/// What each person's partner is told.
async fn statuses(play: &Play) -> Vec<String> {
    let mut statuses = Vec::new();
    for person in 0..play.people.len() {
        statuses.push(status(play, person).await);
    }
    statuses
}

async fn status(play: &Play, person: usize) -> String {
    let status = &play.read(person).await.json()["status"];
    status.as_str().unwrap_or_default().to_owned()
}

/// What the provider says of each person, as it says it to everybody.
async fn truths(play: &Play) -> Vec<String> {
    let mut truths = Vec::new();
    for person in &play.people {
        let path = format!("/api/partner/v2/kyc/details?userId={}", person.user_id);
        let request = play.world.provider(person.partner, Method::GET, &path);
        let answer = play.world.send(request).await.json();
        let result = &answer["data"]["aipriseSummary"]["verificationResult"];
        truths.push(result.as_str().unwrap_or("nothing").to_owned());
    }
    truths
}

async fn history(play: &Play, person: usize) -> Vec<Change> {
    let person = &play.people[person];
    let path = format!("/v1/kyc/users/{}/history", person.user_id);
    let request = play.world.ask(person.partner, Method::GET, &path);
    let history = play.world.send(request).await.json();
    let change = |entry: &Value| Change {
        attempt: entry["attempt"].as_i64().unwrap_or_default(),
        from: entry["from"].as_str().map(str::to_owned),
        to: entry["to"].as_str().unwrap_or_default().to_owned(),
    };
    let entries = history["data"].as_array();
    entries.map_or_else(Vec::new, |entries| entries.iter().map(change).collect())
}

/// Sets what was acknowledged beside what is stored.
async fn webhooks(play: &Play) -> anyhow::Result<Vec<Webhook>> {
    let mut stored: HashMap<(String, String), u64> = HashMap::new();
    let mut cursor = String::new();
    loop {
        let page = play
            .world
            .admin(&format!("/v1/admin/deliveries?limit=500{cursor}"))
            .await;
        ensure!(
            page.status == 200,
            "the deliveries cannot be read: {page:?}"
        );
        let page = page.json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for row in page["data"].as_array().unwrap_or(&Vec::new()) {
            let key = (text(&row["partnerId"]), text(&row["body"]));
            *stored.entry(key).or_default() += 1 + row["repeats"].as_u64().unwrap_or_default();
        }
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let mut acknowledged = play.replayed.clone();
    for sent in play.world.stage.sandbox.acknowledged() {
        *acknowledged.entry((sent.account, sent.body)).or_default() += sent.times;
    }
    let webhook = |(key, acknowledged)| Webhook {
        stored: stored.get(&key).copied().unwrap_or_default(),
        acknowledged,
        name: format!("{} to {}", key.1, key.0),
    };
    Ok(acknowledged.into_iter().map(webhook).collect())
}
