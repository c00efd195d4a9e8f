//! The errors that an operation answers: which there are, and what each looks like.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::example::Example;
use utoipa::openapi::schema::{AllOf, AnyOf, Schema};
use utoipa::openapi::{Content, Object, Ref, RefOr, Response, schema};

use super::headers;
use super::operation::{Caller, Operation};
use super::words::one_of;
use crate::error::{Code, Error, PROBLEM_JSON};
use crate::kyc::link_request::Fault;

/// The form of an error's body.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shape {
    Problem,
    /// The code and nothing else, for the provider.
    CodeOnly,
    /// That of the provider, for its clients.
    AsProvider,
}

/// One error that may be answered.
struct Refusal {
    shape: Shape,
    status: u16,
    /// The code as it is written there.
    word: String,
    code: Code,
}

/// Adds every error of the operation to the document's answers, those of the same form by reference.
pub fn answers(operation: &Operation) -> Vec<(String, String, Response)> {
    let mut by_status: BTreeMap<u16, Vec<Refusal>> = BTreeMap::new();
    for refusal in refusals(operation) {
        let others = by_status.entry(refusal.status).or_default();
        let same = |other: &Refusal| (other.shape, &other.word) == (refusal.shape, &refusal.word);
        if !others.iter().any(same) {
            others.push(refusal);
        }
    }
    let answer = |(status, refusals): (u16, Vec<Refusal>)| {
        (
            status.to_string(),
            name(operation, status, &refusals),
            response(operation, status, &refusals),
        )
    };
    by_status.into_iter().map(answer).collect()
}

fn refusals(operation: &Operation) -> Vec<Refusal> {
    let caller = operation.caller;
    let shape = match caller {
        Caller::Partner | Caller::Person | Caller::Admin | Caller::Nobody => Shape::Problem,
        Caller::DropIn => Shape::AsProvider,
        Caller::Provider => Shape::CodeOnly,
    };
    let mut codes = vec![
        Code::MethodNotAllowed,
        Code::UriTooLong,
        Code::HeadersTooLarge,
        Code::InternalError,
    ];
    if caller.has_key() {
        codes.extend([Code::Unauthorized, Code::NotAcceptable, Code::RateLimited]);
    }
    if caller == Caller::Provider {
        codes.push(Code::Unauthorized);
    }
    if operation.has_body() {
        codes.extend([
            Code::BodyTooLarge,
            Code::RequestTimeout,
            Code::MalformedJson,
        ]);
        if caller != Caller::Provider {
            codes.push(Code::UnsupportedMediaType);
        }
    }
    codes.extend(&operation.codes);
    // What cannot be read as a request is refused before there is a route.
    let unread = [
        Code::BadRequest,
        Code::RequestTimeout,
        Code::HeadersTooLarge,
    ];
    let unread = unread.map(|code| Refusal::new(Shape::Problem, code));
    let read = codes.into_iter().flat_map(|code| {
        let mut refusals = vec![Refusal::new(shape, code)];
        if shape == Shape::AsProvider && code == Code::ProviderRejected {
            // The provider's own status goes before ours.
            refusals.extend([400, 409].map(|status| Refusal {
                status,
                ..Refusal::new(shape, code)
            }));
        }
        refusals
    });
    read.chain(unread).collect()
}

impl Refusal {
    fn new(shape: Shape, code: Code) -> Refusal {
        let (status, word) = match shape {
            Shape::Problem | Shape::CodeOnly => (code.row().0, code.as_str().to_owned()),
            Shape::AsProvider => code.as_provider(),
        };
        Refusal {
            shape,
            status,
            word,
            code,
        }
    }
}

/// The same for the same answer, so that each stands in the document once.
fn name(operation: &Operation, status: u16, refusals: &[Refusal]) -> String {
    let family = match operation.caller {
        Caller::Partner if operation.replays => "replayed-",
        Caller::Admin if operation.may_be_open => "metrics-",
        Caller::Partner | Caller::Admin => "",
        Caller::DropIn if operation.passes_on => "passed-",
        Caller::DropIn => "drop-in-",
        Caller::Provider => "webhook-",
        Caller::Person | Caller::Nobody => "open-",
    };
    let mut words: Vec<&str> = Vec::new();
    for refusal in refusals {
        if !words.contains(&refusal.code.as_str()) {
            words.push(refusal.code.as_str());
        }
    }
    format!("{family}{status}-{}", words.join("-"))
}

fn response(operation: &Operation, status: u16, refusals: &[Refusal]) -> Response {
    let meaning = |refusal: &Refusal| format!("`{}`: {}.", refusal.word, refusal.code.row().2);
    let mut meanings: Vec<String> = refusals.iter().map(meaning).collect();
    meanings.dedup();
    let mut response = Response::new(meanings.join(" "));
    for shape in [Shape::AsProvider, Shape::CodeOnly, Shape::Problem] {
        let of_shape: Vec<&Refusal> = refusals
            .iter()
            .filter(|refusal| refusal.shape == shape)
            .collect();
        if !of_shape.is_empty() {
            let (media, content) = content(operation, shape, &of_shape);
            response.content.insert(media.to_owned(), RefOr::T(content));
        }
    }
    if operation.passes_on {
        response
            .content
            .insert("*/*".to_owned(), RefOr::T(Content::default()));
    }
    headers::add(&mut response, &[headers::REQUEST_ID]);
    match status {
        // The provider need not say it.
        405 if operation.passes_on => headers::add_perhaps(&mut response, &["Allow"]),
        405 => headers::add(&mut response, &["Allow"]),
        429 | 503 => headers::add(&mut response, &["Retry-After"]),
        _ => {}
    }
    if operation.replays && matches!(status, 404 | 409 | 422) {
        headers::add_perhaps(&mut response, &[headers::REPLAYED]);
    }
    if operation.caller.has_key() {
        let known = refusals
            .iter()
            .filter(|refusal| comes_after_key(refusal.code))
            .count();
        if known == refusals.len() && !operation.may_be_open {
            headers::add(&mut response, &headers::RATE_LIMIT);
        } else if known > 0 || operation.passes_on || operation.may_be_open {
            headers::add_perhaps(&mut response, &headers::RATE_LIMIT);
        }
    }
    response
}

fn content(operation: &Operation, shape: Shape, refusals: &[&Refusal]) -> (&'static str, Content) {
    let words = refusals.iter().map(|refusal| &refusal.word);
    let narrowed = |inner: Object, outer: &str| -> RefOr<Schema> {
        let both = AllOf::builder()
            .item(Ref::from_schema_name(outer))
            .item(inner);
        Schema::AllOf(both.build()).into()
    };
    let code = Object::builder().property("code", one_of(words)).build();
    let (media, schema) = match shape {
        Shape::Problem => (PROBLEM_JSON, narrowed(code, "Problem")),
        Shape::CodeOnly => {
            let mut code = code;
            code.required = vec!["code".to_owned()];
            ("application/json", RefOr::T(code.into()))
        }
        // The provider's own code may stand there, so that ours cannot be listed.
        Shape::AsProvider
            if refusals
                .iter()
                .any(|refusal| refusal.code == Code::ProviderRejected) =>
        {
            (
                "application/json",
                Ref::from_schema_name("ProviderError").into(),
            )
        }
        Shape::AsProvider => {
            let error = Object::builder().property("error", code).build();
            ("application/json", narrowed(error, "ProviderError"))
        }
    };
    let schema = if operation.passes_on && shape == Shape::AsProvider {
        let theirs = Object::builder()
            .schema_type(schema::SchemaType::AnyValue)
            .description(Some("What the provider answered, unchanged."));
        Schema::AnyOf(AnyOf::builder().item(schema).item(theirs).build()).into()
    } else {
        schema
    };
    let mut content = Content::new(Some(schema));
    for refusal in refusals {
        let mut example = Example::new();
        example.summary = refusal.code.row().2.to_owned();
        example.value = Some(refusal.example());
        content
            .examples
            .insert(refusal.word.clone(), RefOr::T(example));
    }
    (media, content)
}

impl Refusal {
    fn example(&self) -> Value {
        let error = match self.code {
            Code::InvalidRequest => Error::invalid_request(vec![Fault {
                field: "personalInfo.taxId".to_owned(),
                code: "rfc_date",
                message: "Correct the 6 digits of the RFC: they are a birth date as YYMMDD."
                    .to_owned(),
            }]),
            code => Error::new(code, format!("{}.", code.row().2)),
        };
        let text = match self.shape {
            Shape::Problem => error.problem("019ab2f47c1e7d3a9b526a0f4c1d2e3f"),
            Shape::AsProvider => error.as_provider().1,
            Shape::CodeOnly => return json!({ "code": self.word }),
        };
        serde_json::from_str(&text).unwrap_or_default()
    }
}

/// Whether the key was found right before, so that the answer says how it stands.
fn comes_after_key(code: Code) -> bool {
    !matches!(
        code,
        Code::BadRequest
            | Code::RequestTimeout
            | Code::HeadersTooLarge
            | Code::UriTooLong
            | Code::MethodNotAllowed
            | Code::Unauthorized
            | Code::Overloaded
            | Code::InternalError
    )
}
