//! The admin page's list of users: what narrows it, its pages, and the same as a sheet.

use serde_json::json;

use crate::admin_page::hours;
use crate::support::visit::{Visit, plain};
use crate::support::{ACME, LINK, OTHER, TestApp};

/// The ids that the page's list of users shows, in its order.
fn ids(page: &str) -> Vec<String> {
    let rows = page.split("<a class=\"id\" href=\"/admin/users/").skip(1);
    let id = |row: &str| {
        let id = row.split("<bdi>").nth(1).unwrap();
        id.split("</bdi>").next().unwrap().to_owned()
    };
    rows.map(id).collect()
}

#[actix_web::test]
async fn users_are_found_by_whatever_narrows_them() {
    let app = TestApp::new().await;
    app.pending("ana").await;
    app.clock.advance(hours(24 * 31));
    app.pending_of(OTHER, "bob").await;
    app.clock.advance(hours(2));
    app.pending("anton").await;
    app.deliver("VERIFIED_USER", "anton").await;
    let visit = Visit::of(&app).await;
    for (query, found) in [
        ("", &["anton", "bob", "ana"][..]),
        ("?q=an", &["anton", "ana"]),
        (
            "?q=+an+&partner=&status=&country=&age=&attention=",
            &["anton", "ana"],
        ),
        ("?partner=other", &["bob"]),
        ("?status=pending", &["bob", "ana"]),
        ("?status=verified", &["anton"]),
        ("?country=do", &["anton", "bob", "ana"]),
        ("?country=MX", &[]),
        ("?age=1h", &["anton"]),
        ("?age=7d", &["anton", "bob"]),
        ("?age=older", &["ana"]),
        ("?attention=held", &[]),
        (
            "?q=an&age=older&status=pending&partner=acme&country=DO",
            &["ana"],
        ),
    ] {
        let page = visit.read(&format!("/admin/users{query}")).await;
        assert_eq!(ids(&page), found, "{query}");
    }
    for wrong in [
        "?status=x",
        "?age=x",
        "?attention=x",
        "?cursor=x",
        "?colour=red",
    ] {
        let answer = visit.get(&format!("/admin/users{wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}");
        let said = plain(&answer.text);
        assert!(!said.contains("Nothing was changed"), "{said}");
    }
}

#[actix_web::test]
async fn pages_follow_one_another_and_keep_what_narrows() {
    let app = TestApp::new().await;
    for number in 0..120 {
        app.pending(&format!("u{number:03}")).await;
    }
    let visit = Visit::of(&app).await;
    let mut next = "/admin/users?q=u&status=pending".to_owned();
    let mut found = Vec::new();
    loop {
        let page = visit.read(&next).await;
        assert!(page.contains("value=\"u\"") && page.contains("value=\"pending\" selected"));
        found.extend(ids(&page));
        let Some(link) = page
            .split("\" rel=\"next\"")
            .next()
            .filter(|_| page.contains("rel=\"next\""))
        else {
            break;
        };
        next = link.rsplit("href=\"").next().unwrap().replace("&#38;", "&");
    }
    let all: Vec<_> = (0..120)
        .rev()
        .map(|number| format!("u{number:03}"))
        .collect();
    assert_eq!(found, all);
}

#[actix_web::test]
async fn the_sheet_has_every_user_of_the_filter_and_no_formula() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    for (user, external) in [
        ("u1", "=1+1"),
        ("u2", "@a"),
        ("plain", "plain"),
        ("u4", "a,\"b\""),
    ] {
        let body = json!({"userId": user, "externalUserId": external, "country": "DO"});
        app.ask_for_link(ACME, &body).await;
    }
    app.pending_of(OTHER, "else").await;
    app.deliver("REJECTED_KYC", "plain").await;
    let visit = Visit::of(&app).await;
    let answer = visit.get("/admin/users.csv?partner=acme").await;
    assert_eq!(
        answer.header("content-disposition"),
        "attachment; filename=\"users.csv\""
    );
    let lines: Vec<_> = answer.text.split("\r\n").collect();
    let head = "partnerId,userId,externalUserId,country,status,final,needsConfirmation,attempt,source,createdAt,updatedAt,decidedAt,asOf";
    assert_eq!(lines[0], format!("\u{feff}{head}"));
    let at = "2026-11-23T19:20:00.123Z";
    let rest = |status: &str, is_final: bool, source: &str, decided: &str| {
        format!("DO,{status},{is_final},false,1,{source},{at},{at},{decided},")
    };
    let pending = rest("pending", false, "link", "");
    assert_eq!(lines[1], format!("acme,u4,\"a,\"\"b\"\"\",{pending}"));
    let rejected = rest("rejected", false, "webhook", at);
    assert_eq!(lines[2], format!("acme,plain,plain,{rejected}"));
    assert_eq!(lines[3], format!("acme,u2,'@a,{pending}"));
    assert_eq!(lines[4], format!("acme,u1,'=1+1,{pending}"));
    assert_eq!(lines[5..], [""]);
    assert!(!answer.text.contains(LINK));
}

#[actix_web::test]
async fn the_sheet_is_whole_however_long_it_is() {
    let app = TestApp::new().await;
    let clock = app.clock.clone();
    let fill = move |conn: &mut _| {
        for number in 0..2500 {
            crate::support::store::register(conn, &clock, &format!("u{number}"))?;
        }
        Ok(())
    };
    app.db().write(fill).await.unwrap();
    let answer = Visit::of(&app).await.get("/admin/users.csv").await;
    let mut ids: Vec<_> = answer.text.lines().skip(1).collect();
    assert_eq!(ids.len(), 2500);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2500);
}
