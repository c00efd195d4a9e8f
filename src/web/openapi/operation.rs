//! What the table says of one operation, and how it stands in the document.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::example::Example;
use utoipa::openapi::path::{HttpMethod, Operation as Documented, Parameter, ParameterIn};
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Components, Content, Object, Ref, RefOr, Required, Response, Schema, Type};
use utoipa::{IntoParams, ToSchema};

use super::{headers, refusals};
use crate::error::Code;

/// Who calls, and so how it shows who it is and how errors look.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A partner's backend.
    Partner,
    /// A partner's client that was made for the provider.
    DropIn,
    /// A user, in a browser.
    Person,
    /// The provider, with a signature.
    Provider,
    /// An admin.
    Admin,
    /// Anybody: no key is asked for.
    Nobody,
}

/// The names of the ways in which callers show who they are.
pub const PARTNER_KEY: &str = "partner-api-key";
pub const ADMIN_KEY: &str = "admin-key";
pub const SIGNATURE: &str = "capa-signature";

impl Caller {
    /// Whether there is a key, which may be used so often.
    pub fn has_key(self) -> bool {
        matches!(self, Caller::Partner | Caller::DropIn | Caller::Admin)
    }

    fn security(self) -> Option<&'static str> {
        match self {
            Caller::Partner | Caller::DropIn => Some(PARTNER_KEY),
            Caller::Provider => Some(SIGNATURE),
            Caller::Admin => Some(ADMIN_KEY),
            Caller::Person | Caller::Nobody => None,
        }
    }

    /// The heading that its operations stand under.
    pub fn heading(self) -> &'static str {
        match self {
            Caller::Partner => "Partners",
            Caller::DropIn => "Clients made for Capa",
            Caller::Person => "People",
            Caller::Provider => "The provider",
            Caller::Admin => "Admins",
            Caller::Nobody => "Whoever runs it",
        }
    }
}

/// One row of the table.
pub struct Operation {
    /// Its one method; `HEAD` goes without saying.
    pub method: HttpMethod,
    /// Its path, as in `routes.rs`.
    pub path: &'static str,
    /// Who may call it.
    pub caller: Caller,
    /// The errors that not every operation of such a caller has.
    pub codes: Vec<Code>,
    /// Whether it hands the provider's own answers back.
    pub passes_on: bool,
    /// Whether the same request again, under its key, is answered as it was.
    pub replays: bool,
    /// Whether a setting lets everybody call it.
    pub may_be_open: bool,
    documented: Documented,
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl Operation {
    /// One that reads, with an id for programs and a summary for people.
    pub fn get(path: &'static str, id: &str, caller: Caller, summary: &str) -> Operation {
        Operation::new(HttpMethod::Get, path, id, caller, summary)
    }

    /// The same for one that does something.
    pub fn post(path: &'static str, id: &str, caller: Caller, summary: &str) -> Operation {
        Operation::new(HttpMethod::Post, path, id, caller, summary)
    }

    fn new(
        method: HttpMethod,
        path: &'static str,
        id: &str,
        caller: Caller,
        summary: &str,
    ) -> Operation {
        let mut documented = Documented::new();
        documented.operation_id = Some(id.to_owned());
        documented.tags = Some(vec![caller.heading().to_owned()]);
        documented.summary = Some(summary.to_owned());
        let needs = caller
            .security()
            .map(|scheme| SecurityRequirement::new(scheme, [""; 0]));
        documented.security = needs.map(|needs| vec![needs]);
        let names = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let parameters: Vec<_> = names.map(|name| RefOr::T(in_path(name))).collect();
        documented.parameters = Some(parameters).filter(|parameters| !parameters.is_empty());
        Operation {
            method,
            path,
            caller,
            codes: Vec::new(),
            passes_on: false,
            replays: false,
            may_be_open: false,
            documented,
            schemas: Vec::new(),
        }
    }

    /// More about it than the summary.
    pub fn says(mut self, description: &str) -> Operation {
        self.documented.description = Some(description.to_owned());
        self
    }

    /// Takes these query parameters; an unknown one is refused.
    pub fn query<P: IntoParams>(mut self) -> Operation {
        let parameters = P::into_params(|| Some(ParameterIn::Query));
        let parameters = parameters.into_iter().map(RefOr::T);
        self.documented
            .parameters
            .get_or_insert_default()
            .extend(parameters);
        self
    }

    /// Takes a header. It has no example, because the page of the document would send that unasked.
    pub fn header(mut self, name: &str, meaning: &str, pattern: &str) -> Operation {
        let schema = Object::builder()
            .schema_type(Type::String)
            .pattern(Some(pattern));
        let header = Parameter::builder()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(meaning))
            .schema(Some(schema))
            .build();
        self.documented
            .parameters
            .get_or_insert_default()
            .push(RefOr::T(header));
        self
    }

    /// Takes a JSON body of that type.
    pub fn takes<B: ToSchema>(mut self, examples: &[(&str, Value)]) -> Operation {
        let schema = self.component::<B>();
        self.takes_schema(schema, examples)
    }

    /// The same for a component that has no type.
    pub fn takes_component(self, name: &str, examples: &[(&str, Value)]) -> Operation {
        self.takes_schema(Ref::from_schema_name(name).into(), examples)
    }

    /// Takes any JSON object.
    pub fn takes_any(self, examples: &[(&str, Value)]) -> Operation {
        self.takes_schema(RefOr::T(Object::new().into()), examples)
    }

    fn takes_schema(mut self, schema: RefOr<Schema>, examples: &[(&str, Value)]) -> Operation {
        let mut content = Content::new(Some(schema));
        for (summary, value) in examples {
            let mut example = Example::new();
            example.summary = (*summary).to_owned();
            example.value = Some(value.clone());
            let name = format!(
                "{}-{}",
                content.examples.len() + 1,
                summary.replace(' ', "-")
            );
            content.examples.insert(name, RefOr::T(example));
        }
        let mut body = RequestBody::new();
        body.required = Some(Required::True);
        body.content
            .insert("application/json".to_owned(), RefOr::T(content));
        self.documented.request_body = Some(RefOr::T(body));
        self
    }

    /// Whether it takes a body.
    pub fn has_body(&self) -> bool {
        self.documented.request_body.is_some()
    }

    /// Answers with a JSON body of that type, and with these headers besides those of every answer.
    pub fn answers<B: ToSchema>(
        mut self,
        status: u16,
        meaning: &str,
        headers: &[&str],
    ) -> Operation {
        let schema = self.component::<B>();
        self.answers_content(
            status,
            meaning,
            headers,
            "application/json",
            Content::new(Some(schema)),
        )
    }

    /// The same for a type that needs no name of its own.
    pub fn answers_inline<B: ToSchema>(mut self, status: u16, meaning: &str) -> Operation {
        B::schemas(&mut self.schemas);
        let content = Content::new(Some(B::schema()));
        self.answers_content(status, meaning, &[], "application/json", content)
    }

    /// The same for whatever content.
    pub fn answers_content(
        self,
        status: u16,
        meaning: &str,
        headers: &[&str],
        media: &str,
        content: Content,
    ) -> Operation {
        let mut response = Response::new(meaning);
        response.content.insert(media.to_owned(), RefOr::T(content));
        self.answers_response(&status.to_string(), headers, response)
    }

    /// Answers without a body.
    pub fn answers_nothing(self, status: u16, meaning: &str, headers: &[&str]) -> Operation {
        self.answers_response(&status.to_string(), headers, Response::new(meaning))
    }

    /// Answers with any content.
    pub fn answers_any(self, status: &str, meaning: &str) -> Operation {
        let mut response = Response::new(meaning);
        response
            .content
            .insert("*/*".to_owned(), RefOr::T(Content::default()));
        self.answers_response(status, &[], response)
    }

    fn answers_response(
        mut self,
        status: &str,
        more: &[&str],
        mut response: Response,
    ) -> Operation {
        headers::add(&mut response, &[headers::REQUEST_ID]);
        headers::add(&mut response, more);
        if self.may_be_open {
            headers::add_perhaps(&mut response, &headers::RATE_LIMIT);
        } else if self.caller.has_key() {
            headers::add(&mut response, &headers::RATE_LIMIT);
        }
        if self.replays {
            headers::add_perhaps(&mut response, &[headers::REPLAYED]);
        }
        let responses = &mut self.documented.responses.responses;
        responses.insert(status.to_owned(), RefOr::T(response));
        self
    }

    /// Makes a type a component that is named where nobody looks for it: in a generic type, or in a text.
    pub fn speaks_of<B: ToSchema>(mut self) -> Operation {
        self.component::<B>();
        self
    }

    /// Hands the provider's own answers back.
    pub fn passes_on(mut self) -> Operation {
        self.passes_on = true;
        self
    }

    /// Answers the same request again, under its key, as it was answered.
    pub fn replays(mut self) -> Operation {
        self.replays = true;
        self
    }

    /// Can be called by everybody where a setting says so.
    pub fn may_be_open(mut self) -> Operation {
        self.may_be_open = true;
        self
    }

    /// Shows a page with this status, which says what went wrong to a person.
    pub fn shows(self, status: u16, meaning: &str, headers: &[&str]) -> Operation {
        self.answers_content(status, meaning, headers, "text/html", Content::default())
    }

    /// May answer these errors besides those that every operation of such a caller has.
    pub fn refuses(mut self, codes: &[Code]) -> Operation {
        self.codes.extend(codes);
        self
    }

    /// Makes the type a component, and names it.
    fn component<B: ToSchema>(&mut self) -> RefOr<Schema> {
        B::schemas(&mut self.schemas);
        self.schemas.push((B::name().into_owned(), B::schema()));
        Ref::from_schema_name(B::name()).into()
    }

    /// The operation as the document has it; what it shares with others goes to the components.
    pub fn document(mut self, components: &mut Components) -> Documented {
        let mut shared = BTreeMap::new();
        for (status, name, response) in refusals::answers(&self) {
            let responses = &mut self.documented.responses.responses;
            // Beside a page for people the same status may have an error of ours.
            if let Some(RefOr::T(page)) = responses.get_mut(&status) {
                page.description = format!("{} {}", page.description, response.description);
                page.content.extend(response.content);
                continue;
            }
            responses.insert(status, RefOr::Ref(Ref::from_response_name(&name)));
            shared.insert(name, RefOr::T(response));
        }
        components.responses.append(&mut shared);
        components.schemas.extend(self.schemas);
        self.documented
    }
}

fn in_path(name: &str) -> Parameter {
    let (meaning, example) = match name {
        "userId" => ("The provider's id of the person.", "customer-42"),
        "partnerId" => ("The partner's id in the configuration.", "demo"),
        "token" => (
            "The end of a `startUrl`.",
            "AZqwxV49ehCPAAEjRWeJqwAAAANp32whvtqh1nGYYhHaftGe",
        ),
        _ => ("The name of the file.", "swagger-ui.css"),
    };
    Parameter::builder()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(meaning))
        .schema(Some(Object::with_type(Type::String)))
        .example(Some(json!(example)))
        .build()
}
