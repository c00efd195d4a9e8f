//! Plays a script, step by step, and writes down what it sees.
//!
//! The acts of a step come first, then time passes and the looks that are due are made; webhooks come in between whenever
//! they like. After both, every status is read, because somebody who reads at the wrong moment must not be misled either.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use anyhow::ensure;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::judge::{Call, Evidence, Foreign, Forgery, Misuse};
use super::script::{Act, Step};
use super::world::{Answer, World};
use crate::capa::signature::{self, sign};

/// What the provider is told of a person and what it answers of everybody: none of it may be kept.
pub const PERSONAL: [&str; 4] = [TAX_ID, PHONE, "Sandbox Person Example", "SANDBOX-000000"];
const TAX_ID: &str = "QZXW850417K93";
const PHONE: &str = "+529876501234";

/// Longer than the provider tries to send a webhook.
const STANDSTILL: Duration = Duration::from_secs(40 * 60);

/// A run under way.
pub struct Play {
    /// What runs.
    pub world: World,
    /// Everybody, registered or not yet.
    pub people: Vec<Person>,
    /// What was seen.
    pub evidence: Evidence,
    /// How often the service acknowledged what was sent again, by partner and body.
    pub replayed: HashMap<(String, String), u64>,
    /// How often each kind of act was played.
    pub tally: BTreeMap<&'static str, usize>,
}

/// One person of one partner.
pub struct Person {
    /// The partner's place.
    pub partner: usize,
    /// The provider's id of the person.
    pub user_id: String,
    /// The partner's id; the other partner has somebody of the same.
    pub external_user_id: String,
    /// Whether the service was ever asked for a link, which is when it first hears of the person.
    pub has_asked: bool,
    /// Whether the last request for a link gave one. Nobody decides about who has none: a reviewer who takes back the
    /// verdict of an earlier attempt while the next one has no session yet leaves the user in doubt until an admin or a
    /// new link settles it, which is known and would be judged as not converging.
    pub is_linked: bool,
    /// Whether the provider has ever verified the person.
    pub was_verified: bool,
}

impl Play {
    /// A run with that many people, none of whom is registered.
    ///
    /// # Errors
    /// When the sandbox refuses one.
    pub fn new(world: World, people: usize) -> anyhow::Result<Play> {
        let partners = world.stage.partners.len();
        let person = |number: usize| Person {
            partner: number % partners,
            user_id: format!("user-{number}"),
            external_user_id: format!("customer-{}", number / partners),
            has_asked: false,
            is_linked: false,
            was_verified: false,
        };
        let people: Vec<Person> = (0..people).map(person).collect();
        for person in &people {
            let account = &world.stage.partners[person.partner].id;
            world
                .stage
                .sandbox
                .adopt(account, &person.user_id, &person.external_user_id)?;
        }
        Ok(Play {
            world,
            people,
            evidence: Evidence::default(),
            replayed: HashMap::new(),
            tally: BTreeMap::new(),
        })
    }

    /// Plays one step.
    ///
    /// # Errors
    /// When the run cannot go on, which says nothing about any promise.
    pub async fn step(&mut self, step: Step) -> anyhow::Result<()> {
        *self.tally.entry(step.act.name()).or_default() += 1;
        if let Some(fault) = step.fault {
            self.world.stage.sandbox.set_fault(fault);
        }
        let person = step.person;
        match step.act {
            Act::Link(force_new) => self.link(person, force_new).await,
            Act::Verify => self.decide(person, "verify").await?,
            Act::Reject => self.decide(person, "reject").await?,
            Act::Review => self.decide(person, "review").await?,
            Act::Replay(which) => self.replay_one(which).await,
            Act::Forge(which) => self.forge(person, which).await,
            Act::Misuse(which) => self.misuse(person, which).await,
            Act::Spy => self.spy(person).await,
            Act::Restart => {
                // So that webhooks are on their way when it happens.
                self.decide(person, "review").await?;
                self.world.cut_off().await?;
                self.search()?;
                self.world.start()?;
            }
            Act::Standstill => {
                self.world.cut_off().await?;
                if self.people[person].is_linked {
                    self.decide(person, "verify").await?;
                }
                self.world.stage.sandbox.settled().await;
                self.world.clock.advance(STANDSTILL);
                self.world.start()?;
            }
            Act::Rest => {}
        }
        self.watch().await;
        if step.waits {
            self.world.stage.sandbox.settled().await;
        }
        self.world.pass(step.pause).await?;
        self.watch().await;
        Ok(())
    }

    /// Asks for a link, and for a status at the same time.
    pub async fn link(&mut self, person: usize, force_new: bool) {
        let Person {
            partner,
            user_id,
            external_user_id,
            ..
        } = &self.people[person];
        let mut body = json!({
            "userId": user_id, "externalUserId": external_user_id, "country": "DO", "forceNew": force_new,
        });
        if person.is_multiple_of(3) {
            body["country"] = "MX".into();
            body["personalInfo"] = json!({
                "profession": "Student", "phoneNumber": PHONE, "birthCountry": "MX", "taxId": TAX_ID,
            });
        }
        let link = self.world.ask(*partner, Method::POST, "/v1/kyc/links");
        let read = self
            .world
            .ask(*partner, Method::GET, "/v1/kyc/users?limit=1");
        let (link, read) = tokio::join!(self.timed(link.json(&body)), self.timed(read));
        let (answer, took) = link;
        self.people[person].has_asked = true;
        match answer.status {
            200 | 201 => self.people[person].is_linked = true,
            // The user is verified, and what was open stays so.
            409 => {}
            _ => self.people[person].is_linked = false,
        }
        self.evidence.calls.push(Call {
            status: answer.status,
            code: answer.code(),
            says_when: answer.says_when,
            took,
            read: (read.0.status, read.1),
        });
    }

    async fn timed(&self, request: RequestBuilder) -> (Answer, Duration) {
        let began = Instant::now();
        let answer = self.world.send(request).await;
        (answer, began.elapsed())
    }

    /// Clicks on the person's latest link; who has none asks for one instead. Some begin at the provider, before the
    /// service has heard of them.
    async fn decide(&mut self, person: usize, verdict: &str) -> anyhow::Result<()> {
        if person % 5 == 4 && !self.people[person].has_asked && !self.people[person].is_linked {
            self.begin_elsewhere(person).await;
        } else if !self.people[person].is_linked {
            self.link(person, false).await;
        } else {
            self.click(person, verdict).await?;
        }
        Ok(())
    }

    /// Asks the provider for a link past the service.
    async fn begin_elsewhere(&mut self, person: usize) {
        let Person {
            partner, user_id, ..
        } = &self.people[person];
        let path = format!("/api/partner/v2/users/{user_id}/kyc/verification-link");
        let link = self.world.provider(*partner, Method::POST, &path);
        let answer = self.world.send(link.json(&json!({"country": "DO"}))).await;
        self.people[person].is_linked = answer.status == 201;
    }

    async fn click(&mut self, person: usize, verdict: &str) -> anyhow::Result<()> {
        let person = &mut self.people[person];
        // Before the click, because its webhook may be faster than the answer.
        person.was_verified |= verdict == "verify";
        let path = format!("/sandbox/users/{}/{verdict}", person.user_id);
        let click = self.world.provider(person.partner, Method::POST, &path);
        let answer = self.world.send(click).await;
        ensure!(
            answer.status == 200,
            "the sandbox took no click: {answer:?}"
        );
        Ok(())
    }

    async fn replay_one(&mut self, which: usize) {
        let sent = self.world.stage.sandbox.acknowledged();
        if let Some(chosen) = sent.get(which % sent.len().max(1)) {
            self.replay(&chosen.account, &chosen.body).await;
        }
    }

    /// Sends a webhook again that was sent before, byte for byte.
    pub async fn replay(&mut self, account: &str, body: &str) {
        let partners = &self.world.stage.partners;
        let Some(partner) = partners.iter().find(|partner| partner.id == account) else {
            return;
        };
        let signature = sign(&partner.webhook_secret, body.as_bytes());
        let post = self
            .webhook(account, body)
            .header(signature::HEADER, signature);
        let answer = self.world.send(post).await;
        if answer.status == 204 {
            let key = (account.to_owned(), body.to_owned());
            *self.replayed.entry(key).or_default() += 1;
        }
    }

    fn webhook(&self, account: &str, body: &str) -> RequestBuilder {
        let path = format!("/webhooks/{account}");
        let post = self.world.request(Method::POST, &path);
        post.body(body.to_owned())
    }

    /// Says that the person is verified, in the provider's name but without its secret. Nothing else happens meanwhile, so
    /// that a change could have no other cause.
    async fn forge(&mut self, person: usize, which: usize) {
        self.world.stage.sandbox.settled().await;
        let partners = &self.world.stage.partners;
        let Person {
            partner,
            external_user_id,
            ..
        } = &self.people[person];
        let (own, other) = (&partners[*partner], &partners[1 - partner]);
        let body = kyc_event("VERIFIED_USER", external_user_id);
        let right = sign(&own.webhook_secret, body.as_bytes());
        let (what, signatures) = match which % 5 {
            0 => ("a webhook without a signature", vec![]),
            1 => (
                "a webhook signed by another partner",
                vec![sign(&other.webhook_secret, body.as_bytes())],
            ),
            2 => (
                "a webhook with a signature that is too short",
                vec![right[2..].to_owned()],
            ),
            3 => (
                "a webhook with the signature of another one",
                vec![sign(
                    &own.webhook_secret,
                    kyc_event("CREATED_KYC", external_user_id).as_bytes(),
                )],
            ),
            _ => (
                "a webhook with two signatures",
                vec![right.clone(), right.clone()],
            ),
        };
        let mut post = self.webhook(&own.id, &body);
        for signature in signatures {
            post = post.header(signature::HEADER, signature);
        }
        let before = self.read(person).await;
        let answer = self.world.send(post).await;
        let after = self.read(person).await;
        self.evidence.forgeries.push(Forgery {
            what,
            status: answer.status,
            changed: (before.status, before.text) != (after.status, after.text),
        });
    }

    /// What the person's partner is told of it.
    pub async fn read(&self, person: usize) -> Answer {
        let Person {
            partner, user_id, ..
        } = &self.people[person];
        let path = format!("/v1/kyc/users/{user_id}");
        let read = self.world.ask(*partner, Method::GET, &path);
        self.world.send(read.header("x-request-id", "chaos")).await
    }

    async fn misuse(&mut self, person: usize, which: usize) {
        let (what, request) = self.misused(person, which);
        let answer = self.world.send(request).await;
        self.evidence.misuses.push(Misuse {
            what,
            status: answer.status,
            code: answer.code(),
        });
    }

    fn misused(&self, person: usize, which: usize) -> (&'static str, RequestBuilder) {
        let partner = self.people[person].partner;
        let link = || {
            let post = self.world.ask(partner, Method::POST, "/v1/kyc/links");
            post.header("content-type", "application/json")
        };
        let get = |path: &str| self.world.ask(partner, Method::GET, path);
        match which % 17 {
            0 => ("a body that breaks off", link().body("{\"userId\":")),
            1 => ("a body that is no object", link().body("[]")),
            2 => ("a body without its fields", link().body("{}")),
            3 => (
                "a country that is none",
                link().body(r#"{"userId":"u","country":"XX"}"#),
            ),
            4 => (
                "a control character in an id",
                link().body(r#"{"userId":"a\u0000b","country":"DO"}"#),
            ),
            5 => (
                "a number for a text",
                link().body(r#"{"userId":7,"country":"DO"}"#),
            ),
            6 => ("a body nested too deep", link().body("[".repeat(20_000))),
            7 => ("a body that is too large", link().body(" ".repeat(70_000))),
            8 => (
                "a body of another type",
                self.world
                    .ask(partner, Method::POST, "/v1/kyc/links")
                    .body("userId=u"),
            ),
            9 => (
                "a parameter that there is not",
                get("/v1/kyc/users?colour=red"),
            ),
            10 => ("a cursor that is none", get("/v1/kyc/users?cursor=x")),
            11 => (
                "a limit beyond all bounds",
                get("/v1/kyc/users?limit=99999999999999999999"),
            ),
            12 => ("a path that is no text", get("/v1/kyc/users/%FF%FE")),
            13 => (
                "a method that the route has not",
                self.world.ask(partner, Method::DELETE, "/v1/kyc/links"),
            ),
            14 => ("a route that there is not", get("/v1/kyc/nothing")),
            15 => (
                "a request without a key",
                self.world.request(Method::GET, "/v1/kyc/users"),
            ),
            _ => {
                let partner = &self.world.stage.partners[partner];
                let signature = sign(&partner.webhook_secret, b"no JSON");
                let post = self.webhook(&partner.id, "no JSON");
                (
                    "a signed webhook that is no JSON",
                    post.header(signature::HEADER, signature),
                )
            }
        }
    }

    /// Asks for the person with the other partner's key, and for somebody who is nobody's.
    async fn spy(&mut self, person: usize) {
        let Person {
            partner, user_id, ..
        } = &self.people[person];
        for rest in ["", "/history"] {
            let path = |user_id: &str| format!("/v1/kyc/users/{user_id}{rest}");
            let read = async |path: &str| {
                let read = self.world.ask(1 - partner, Method::GET, path);
                let answer = self.world.send(read.header("x-request-id", "chaos")).await;
                (answer.status, answer.text)
            };
            let foreign = Foreign {
                other: read(&path(user_id)).await,
                nobody: read(&path("nobody-7")).await,
                path: path(user_id),
            };
            self.evidence.foreign.push(foreign);
        }
    }

    /// Reads every status, and notes whoever reads verified without a reason.
    pub async fn watch(&mut self) {
        for partner in 0..self.world.stage.partners.len() {
            let list = self
                .world
                .ask(partner, Method::GET, "/v1/kyc/users?limit=500");
            let answer = self.world.send(list).await;
            let document = answer.json();
            let Value::Array(users) = &document["data"] else {
                self.evidence.unanswered.push(format!("{answer:?}"));
                continue;
            };
            for user in users {
                self.evidence.reads += 1;
                let verified =
                    |person: &&Person| user["userId"] == person.user_id && person.was_verified;
                if user["status"] == "verified"
                    && !self.people.iter().any(|person| verified(&person))
                {
                    self.evidence.unfounded.push(user["userId"].to_string());
                }
            }
        }
    }

    /// Searches the files of the database for what must not be in them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn search(&mut self) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(self.world.folder.path())? {
            let entry = entry?;
            let bytes = match std::fs::read(entry.path()) {
                Ok(bytes) => bytes,
                // What is only there while the database is open goes when the last of it is closed.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            self.evidence.searched += 1;
            for personal in PERSONAL {
                if bytes
                    .windows(personal.len())
                    .any(|window| window == personal.as_bytes())
                {
                    let file = entry.file_name();
                    let file = file.display();
                    self.evidence.leaks.push(format!("{personal} is in {file}"));
                }
            }
        }
        Ok(())
    }
}

/// The body of a KYC event, byte for byte as the sandbox makes it.
fn kyc_event(event: &str, external_user_id: &str) -> String {
    format!(r#"{{"type":"KYC","event":"{event}","externalUserId":"{external_user_id}"}}"#)
}
