//! Every operation: who may call it, what it takes, what it answers. The errors that all operations of a caller have are
//! added in `refusals.rs`.

use serde_json::{Value, json};
use utoipa::openapi::{Content, Object, ObjectBuilder, Type};

use super::bodies::{
    BatchRequest, LinkRequest, OverrideRequest, PROVIDER_LINK, PROVIDER_USERS_LINK, Webhook,
};
use super::operation::Caller::{Admin, DropIn, Nobody, Partner, Person, Provider};
use super::operation::Operation;
use super::words::one_of;
use crate::db::users::Attention;
use crate::error::Code;
use crate::web::admin::{self, Explanation, PartnersUser, Stats, WholeUser};
use crate::web::documents::{
    DeliveryDocument, LinkedUserDocument, Page, TransitionDocument, UserDocument, Whole,
};
use crate::web::drop_in::{Direct, LinkData, OfUser};
use crate::web::events::EventDocument;
use crate::web::links::LinkDocument;
use crate::web::routes::ALIVE;
use crate::web::users::{BatchDocument, ListParameters, OneParameters};

/// What every operation has that reads the store.
const READS: &[Code] = &[Code::InvalidQuery, Code::Overloaded, Code::StoreUnavailable];
/// What every operation has that needs neither a key nor the store.
const OPEN: &[Code] = &[Code::InvalidQuery, Code::Overloaded];
/// The failures of the provider when it is checked.
const LOOKS: &[Code] = &[
    Code::ProviderRejected,
    Code::ProviderUnauthorized,
    Code::ProviderInvalidResponse,
    Code::ProviderUnavailable,
    Code::ProviderRateLimited,
];
/// What may be wrong when a link is asked for.
const LINKS: &[Code] = &[
    Code::AlreadyVerified,
    Code::ExternalIdTaken,
    Code::InvalidRequest,
    Code::ProviderUserNotFound,
    Code::Overloaded,
    Code::StoreUnavailable,
];

/// The table, in the order of `routes.rs`.
pub fn operations() -> Vec<Operation> {
    [
        partners(),
        drop_in(),
        people(),
        provider(),
        admins(),
        nobody(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn partners() -> Vec<Operation> {
    vec![
        Operation::post("/v1/kyc/links", "createLink", Partner, "Ask for a link")
            .says(
                "Registers the user as `pending`, then asks the provider for a link. While the link is open and young, the \
                 same one comes back, however often and by how many callers at once it is asked for. After a rejection the \
                 next link opens another attempt. A verified user gets one only with `forceNew`, and is `pending` from then on. \
                 If the provider fails, the user stays registered: ask again.",
            )
            .replays()
            .header(
                "Idempotency-Key",
                "A text of your choice, a new one for each request, such as a UUID. The same request again within 24 hours gets the same answer and \
                 does nothing, even with `forceNew`; its `kycLink` is null once that link is no longer the user's. The key with another body gets 422 \
                 `idempotency_key_reused`. While the first request is under way the second waits, up to the provider's timeout, then gets 409 \
                 `request_in_progress`. Answers that ask for a retry (429, 5xx) are not kept: send the same key again. `\"k\"` and `k` are one key.",
                "^[!-~]{1,255}$",
            )
            .takes::<LinkRequest>(&[
                ("the least", json!({"userId": "customer-42", "country": "DO"})),
                ("Mexico", mexican()),
            ])
            .answers::<LinkDocument>(201, "A new link.", &["ETag", "Location"])
            .answers::<LinkDocument>(200, "The link that was open already.", &["ETag", "Location"])
            .refuses(LINKS)
            .refuses(LOOKS)
            .refuses(&[
                Code::InvalidQuery,
                Code::IdempotencyKeyReused,
                Code::RequestInProgress,
            ]),
        Operation::get("/v1/kyc/users", "listUsers", Partner, "List users")
            .says("The newest registration first, a page at a time. Pages stay right while users are added.")
            .query::<ListParameters>()
            .answers_inline::<Page<UserDocument>>(200, "A page of your users.")
            .refuses(READS)
            .refuses(&[Code::InvalidCursor]),
        Operation::post("/v1/kyc/users/batch", "batchUsers", Partner, "Read up to 500 users at once")
            .says("Each once, in the order asked for.")
            .takes::<BatchRequest>(&[("two", json!({"userIds": ["customer-42", "nobody"]}))])
            .answers::<BatchDocument>(200, "Those of them who are yours, and the ids of the rest.", &[])
            .refuses(READS)
            .refuses(&[Code::InvalidRequest]),
        Operation::get("/v1/kyc/users/{userId}", "getUser", Partner, "Read a user")
            .says(
                "Go by `status`: it never says `verified` while there is doubt. Do not ask again and again: send the `ETag` \
                 back as `If-None-Match` with `wait=60`, and the answer is held until the user changes. Do so with each new \
                 `ETag` until `final` is true.",
            )
            .query::<OneParameters>()
            .header(
                "If-None-Match",
                "The `ETag` of the version that you have, with its quotation marks: `\"1.3\"`.",
                r#"^(\*|(W/)?"[!#-~]*"(, (W/)?"[!#-~]*")*)$"#,
            )
            .answers::<LinkedUserDocument>(200, "The user, with the link while it is open.", &["ETag"])
            .answers_nothing(304, "The user is as you have it.", &["ETag"])
            .refuses(READS)
            .refuses(LOOKS)
            .refuses(&[Code::NotConfirmed])
            .refuses(&[Code::UserNotFound]),
        Operation::get("/v1/kyc/users/{userId}/history", "getHistory", Partner, "Read the history of a user")
            .answers_inline::<Whole<TransitionDocument>>(200, "Every change of its status, the oldest first.")
            .refuses(READS)
            .refuses(&[Code::UserNotFound]),
        Operation::get("/v1/kyc/users/{userId}/button", "getButton", Partner, "Get a button for your own page")
            .says(
                "A link with the class `kyc-tracker-button` to the user's `startUrl`, in English or Spanish by `Accept-Language`. It \
                 has no style of its own. Once the attempt is decided it leads to a page that says how it ended.",
            )
            .shows(200, "The button.", &[])
            .refuses(READS)
            .refuses(&[Code::UserNotFound]),
        Operation::get("/v1/kyc/events", "streamEvents", Partner, "Listen to all users")
            .says(
                "Server-sent events without an end: `event: transition`, `id:` a number, `data:` an `Event` (see the schemas). \
                 They come in the order in which they were committed, without gaps. With the last number you have seen in \
                 `Last-Event-ID` you miss none, over any interruption; 0 begins at the first, and without it you begin now. \
                 A line `:` every 15 seconds shows that the stream is alive.",
            )
            .header(
                "Last-Event-ID",
                "The number of the last event that you have seen.",
                "^(0|[1-9][0-9]*)$",
            )
            .speaks_of::<EventDocument>()
            .answers_content(200, "The stream.", &[], "text/event-stream", stream())
            .refuses(READS)
            .refuses(&[Code::InvalidCursor]),
    ]
}

fn mexican() -> Value {
    json!({
        "userId": "customer-43",
        "country": "MX",
        "partnerRedirectUri": "https://partner.example/done",
        "personalInfo": {
            "profession": "Employee",
            "phoneNumber": "+524401234567",
            "birthCountry": "MX",
            "taxId": "LOZG7802117B9",
        },
    })
}

fn stream() -> Content {
    let text = Object::builder().schema_type(Type::String);
    let mut stream = Content::new(Some(text));
    stream.example = Some(json!(
        "id: 6\n\nevent: transition\nid: 7\ndata: {\"userId\":\"customer-42\",\"externalUserId\":\"customer-42\",\"at\":\"2026-11-23T19:24:31.418Z\",\"attempt\":1,\"from\":\"submitted\",\"to\":\"verified\",\"cause\":{\"kind\":\"webhook\",\"event\":\"VERIFIED_USER\",\"deliveryId\":\"019ab2f4-7c1e-7d3a-9b52-6a0f4c1d2e3f\"}}\n\n"
    ));
    stream
}

fn drop_in() -> Vec<Operation> {
    let link = "What the request for a link has of its own, you may send here too. An open link is handed out again. Fields \
                that are not known are overlooked.";
    vec![
        Operation::post("/api/partner/v2/kyc/verification-link", "createLinkAsProvider", DropIn, "Ask for a link as at Capa")
            .says(link)
            .takes_component(PROVIDER_LINK, &[("the least", json!({"userId": "customer-42", "country": "DO"}))])
            .speaks_of::<LinkData>()
            .answers_inline::<Direct<LinkData>>(201, "The link.")
            .refuses(LINKS)
            .refuses(LOOKS),
        Operation::post(
            "/api/partner/v2/users/{userId}/kyc/verification-link",
            "createUsersLinkAsProvider",
            DropIn,
            "Ask for a link of a user as at Capa",
        )
        .says(link)
        .takes_component(PROVIDER_USERS_LINK, &[("the least", json!({"country": "DO"}))])
        .speaks_of::<LinkData>()
        .answers_inline::<OfUser<LinkData>>(201, "The link.")
        .refuses(LINKS)
        .refuses(LOOKS),
        Operation::post("/api/partner/v2/users", "createUserAsProvider", DropIn, "Create a user as at Capa")
            .says(
                "Passed on as it is, and so is the answer, which has the `userId` to ask for a link with. It teaches us which \
                 `externalUserId` belongs to that `userId`; nothing else of it is kept. What the provider wants to know of a \
                 person is in its own documentation.",
            )
            .takes_any(&[(
                "a person",
                json!({"type": "INDIVIDUAL", "email": "a@b.example", "externalUserId": "customer-42"}),
            )])
            .passes_on()
            .answers_any("201", "What the provider answers to a new user.")
            .answers_any("default", "Whatever else the provider answers, unchanged.")
            .refuses(&[
                Code::Overloaded,
                Code::ProviderInvalidResponse,
                Code::ProviderUnavailable,
            ]),
    ]
}

fn people() -> Vec<Operation> {
    vec![
        Operation::get("/start/{token}", "openStartPage", Person, "Begin, or go on")
            .says(
                "The `startUrl` that a partner gives its user. It leads to a live link while the attempt is open, made anew where \
                 the old one is too old, and says afterwards how it ended, in English or Spanish by `Accept-Language`.",
            )
            .answers_nothing(303, "On to the provider.", &["Location"])
            .shows(200, "The attempt is decided, or being reviewed again.", &[])
            .shows(404, "The address is none of ours.", &[])
            .shows(410, "The address is of an earlier attempt.", &[])
            .shows(429, "There were too many links today.", &["Retry-After"])
            .shows(502, "The provider does not let the person go on.", &["Retry-After"])
            .shows(503, "Something fails that may be well again soon.", &["Retry-After"])
            .refuses(&[Code::Overloaded]),
    ]
}

fn provider() -> Vec<Operation> {
    vec![
        Operation::post("/webhooks/{partnerId}", "receiveWebhook", Provider, "Deliver a webhook")
            .says(
                "`capa-signature` is the HMAC-SHA-256 of the exact bytes of the body under the partner's webhook secret, as 64 \
                 hex digits. The answer comes after the delivery is on the disk. To send one yourself, \
                 `kyc-tracker webhook sign` makes the signature.",
            )
            .takes::<Webhook>(&[(
                "a verdict",
                json!({"type": "KYC", "event": "VERIFIED_USER", "externalUserId": "customer-42"}),
            )])
            .answers_nothing(204, "It is kept, whatever came of it.", &[])
            .refuses(&[Code::BadRequest, Code::Overloaded, Code::StoreUnavailable]),
    ]
}

fn admins() -> Vec<Operation> {
    vec![
        Operation::get(
            "/v1/admin/users",
            "adminListUsers",
            Admin,
            "List the users of all partners",
        )
        .query::<admin::UsersParameters>()
        .speaks_of::<Attention>()
        .answers_inline::<Page<PartnersUser>>(
            200,
            "A page of users, the newest registration first.",
        )
        .refuses(READS)
        .refuses(&[Code::InvalidCursor]),
        Operation::get(
            "/v1/admin/users/{partnerId}/{userId}",
            "adminGetUser",
            Admin,
            "Read all that is known of a user",
        )
        .answers::<WholeUser>(
            200,
            "The user, with looks, history, overrides and deliveries.",
            &[],
        )
        .refuses(READS)
        .refuses(&[Code::UserNotFound]),
        Operation::get(
            "/v1/admin/users/{partnerId}/{userId}/why",
            "adminExplainUser",
            Admin,
            "Ask why a user stands where it stands",
        )
        .answers::<Explanation>(200, "A paragraph for people.", &[])
        .refuses(READS)
        .refuses(&[Code::UserNotFound]),
        Operation::post(
            "/v1/admin/users/{partnerId}/{userId}/confirm",
            "adminConfirmUser",
            Admin,
            "Have the provider asked now",
        )
        .answers::<WholeUser>(200, "The user as it is after that.", &[])
        .refuses(READS)
        .refuses(LOOKS)
        .refuses(&[Code::UserNotFound]),
        Operation::post(
            "/v1/admin/users/{partnerId}/{userId}/override",
            "adminOverrideUser",
            Admin,
            "Set a status by hand",
        )
        .says("Who did it and why is kept. From then on only an admin moves that attempt.")
        .takes::<OverrideRequest>(&[(
            "a verdict",
            json!({"status": "verified", "reason": "Seen the papers."}),
        )])
        .answers::<WholeUser>(200, "The user as it is after that.", &[])
        .refuses(READS)
        .refuses(&[Code::InvalidRequest, Code::UserNotFound]),
        Operation::get(
            "/v1/admin/deliveries",
            "adminListDeliveries",
            Admin,
            "List deliveries",
        )
        .query::<admin::DeliveriesParameters>()
        .answers_inline::<Page<DeliveryDocument>>(200, "A page of deliveries, the newest first.")
        .refuses(READS)
        .refuses(&[Code::InvalidCursor]),
        Operation::get(
            "/v1/admin/stats",
            "adminStats",
            Admin,
            "Count users and deliveries",
        )
        .answers::<Stats>(200, "The counts, by partner.", &[])
        .refuses(READS),
    ]
}

fn nobody() -> Vec<Operation> {
    let word = |word: &str| {
        let mut status = one_of([word]);
        status.examples = vec![json!(word)];
        let status = Object::builder().property("status", status);
        status.required("status")
    };
    let status = |word: ObjectBuilder| Content::new(Some(word.build()));
    let mut environment = one_of(["production", "staging", "sandbox"]);
    environment.examples = vec![json!("production")];
    environment.description = Some("Which environment of the provider it serves.".to_owned());
    let alive = word("ok")
        .property("environment", environment)
        .required("environment");
    vec![
        Operation::get(ALIVE, "alive", Nobody, "Ask whether the process is alive")
            .answers_content(200, "It is.", &[], "application/json", status(alive))
            .refuses(&[Code::InvalidQuery]),
        Operation::get(
            "/readyz",
            "ready",
            Nobody,
            "Ask whether the store takes writes",
        )
        .says("Makes a real write. Where it fails, `reason` says what ails the store.")
        .answers_content(
            200,
            "It does.",
            &[],
            "application/json",
            status(word("ready")),
        )
        .refuses(READS),
        Operation::get("/metrics", "metrics", Admin, "Read the metrics")
            .says("For Prometheus. With `server.public_metrics` it needs no key.")
            .may_be_open()
            .answers_content(
                200,
                "All metrics.",
                &[],
                "text/plain",
                Content::new(Some(Object::with_type(Type::String))),
            )
            .refuses(OPEN),
        Operation::get("/openapi.json", "openapi", Nobody, "Read this document")
            .answers_content(
                200,
                "OpenAPI 3.1.",
                &[],
                "application/json",
                Content::new(Some(Object::new())),
            )
            .refuses(OPEN),
        Operation::get("/docs", "docs", Nobody, "Read this document as a page")
            .answers_content(200, "The page.", &[], "text/html", Content::default())
            .refuses(OPEN),
        Operation::get(
            "/docs/{file}",
            "docsFile",
            Nobody,
            "Read a file of the page",
        )
        .answers_any("200", "The file.")
        .refuses(OPEN)
        .refuses(&[Code::NotFound]),
    ]
}
