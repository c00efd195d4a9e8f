//! The admin page as a browser without scripts sees it, request by request.

use std::cell::RefCell;

use reqwest::Method;
use url::form_urlencoded;

use super::wire::STUCK;
use super::{ADMIN_KEY, Answer, TestApp};

/// Somebody who looks at the admin page of a service.
pub struct Visit<'a> {
    pub app: &'a TestApp,
    /// What the browser has kept.
    pub cookie: RefCell<String>,
}

impl<'a> Visit<'a> {
    /// Nobody is signed in yet.
    pub fn stranger(app: &'a TestApp) -> Visit<'a> {
        Visit {
            app,
            cookie: RefCell::default(),
        }
    }

    /// The admin, signed in.
    pub async fn of(app: &'a TestApp) -> Visit<'a> {
        let visit = Visit::stranger(app);
        let answer = visit.sign_in(ADMIN_KEY).await;
        assert_eq!(answer.header("location"), "/admin", "{answer:?}");
        visit
    }

    /// Sends the form for that.
    pub async fn sign_in(&self, key: &str) -> Answer {
        self.post("/admin/session", &[("key", key)]).await
    }

    /// The page at that path.
    pub async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    /// The same with further headers.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = self.app.request(Method::GET, path);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let request = request.header("cookie", self.cookie.borrow().as_str());
        self.app.send(request).await
    }

    /// The page at that path, which there is.
    pub async fn read(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        answer.text
    }

    /// The overview, once the store has been counted: on a machine with much to do the first page may come before.
    pub async fn overview(&self) -> String {
        let counted = async {
            loop {
                let page = self.read("/admin").await;
                if !page.contains("data-part=\"uncounted\"") {
                    return page;
                }
            }
        };
        let page = tokio::time::timeout(STUCK, counted).await;
        page.expect("it is not counted")
    }

    /// A form of our own page, as a browser sends it.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let origin = self.app.app.config.server.public_url.origin();
        let origin = origin.ascii_serialization();
        let own = [("origin", &*origin), ("sec-fetch-site", "same-origin")];
        self.post_with(path, fields, &own).await
    }

    /// A form with these headers instead.
    pub async fn post_with(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = self.app.request(Method::POST, path).body(body);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let request = request.header("cookie", self.cookie.borrow().as_str());
        let answer = self.app.send(request).await;
        if let Some(kept) = answer
            .header("set-cookie")
            .split(';')
            .next()
            .filter(|kept| !kept.is_empty())
        {
            *self.cookie.borrow_mut() = kept.to_owned();
        }
        answer
    }

    /// What the forms of this session have in them.
    pub async fn form_token(&self) -> String {
        let page = self.read("/admin/users").await;
        let token = page.split("name=\"token\" value=\"").nth(1).unwrap();
        token.split('"').next().unwrap().to_owned()
    }

    /// Does what a button of our own page does.
    pub async fn act(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.form_token().await;
        let fields: Vec<_> = [("token", &*token)].iter().chain(fields).copied().collect();
        self.post(path, &fields).await
    }

    /// What the form on that user's page says that its reader sees.
    pub async fn seen(&self, path: &str) -> String {
        let page = self.read(path).await;
        let seen = page.split("name=\"seen\" value=\"").nth(1).unwrap();
        seen.split('"').next().unwrap().to_owned()
    }

    /// The path of the page of that user.
    pub async fn path_of(&self, user_id: &str) -> String {
        let page = self.read(&format!("/admin/users?q={user_id}")).await;
        let path = page.split("<a class=\"id\" href=\"").nth(1).unwrap();
        path.split('"').next().unwrap().to_owned()
    }
}

/// The text of a page without its markup, in one line.
pub fn plain(page: &str) -> String {
    let mut text = String::new();
    for part in page.split('<') {
        text.push(' ');
        text.push_str(part.split_once('>').map_or(part, |(_, text)| text));
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
