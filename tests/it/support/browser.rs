//! A browser without a screen, driven as a person would use it. It reaches nothing but this machine.

use std::io::ErrorKind;
use std::ops::Deref;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::prelude::*;
use thirtyfour::{ChromeCapabilities, ChromiumLikeCapabilities};

use super::http_with;
use super::process::Process;
use super::torture::tell;

/// What hostile texts call is `trip()`.
const TRAP: &str = "
    window.caught = [];
    window.trip = () => { window.caught.push('a script ran'); };
    window.alert = window.trip;
    document.addEventListener('securitypolicyviolation', (event) => {
        window.caught.push(event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sample);
    });
";

/// What reaches beyond the window, if the window can be moved there.
const WIDE: &str = "
    if (document.documentElement.scrollWidth <= window.innerWidth) return [];
    return [...document.querySelectorAll('body *')]
        .filter((one) => one.getBoundingClientRect().right > window.innerWidth)
        .map((one) => one.tagName + ' ' + one.className + ' ' + one.textContent.slice(0, 200));
";

/// What clips what it holds, and holds too much.
const CUT: &str = "
    return [...document.querySelectorAll('.card')]
        .filter((card) => card.scrollWidth > card.clientWidth)
        .map((card) => card.textContent.slice(0, 100));
";

/// All that is serious or worse, as one line each.
const AXE: &str = "
    const done = arguments[arguments.length - 1];
    const line = (fault, node) => fault.id + ': ' + fault.help + ': ' + node.target + ' ' + node.failureSummary;
    axe.run(document, { resultTypes: ['violations'] }).then((found) => done(found.violations
        .filter((fault) => ['serious', 'critical'].includes(fault.impact))
        .flatMap((fault) => fault.nodes.map((node) => line(fault, node)))), (error) => done(['axe: ' + error]));
";

/// A machine with much to do takes its time to start a browser.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who sits before the browser.
#[derive(Clone, Copy)]
pub struct Reader {
    /// What the browser accepts, the best liked first.
    pub languages: &'static str,
    /// Whether pages may run scripts.
    pub scripts: bool,
}

/// A Chromium with a profile of its own. [`Browser::quit`] ends it in good order; dropped, it ends too.
pub struct Browser {
    driver: WebDriver,
    _process: Process,
    _profile: TempDir,
}

impl Browser {
    /// `None` where there is no browser, which is said, and where nothing may be left out is a failure.
    pub async fn start(reader: Reader) -> Option<Browser> {
        let tried = Command::new("chromedriver").arg("--version").output();
        if tried.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            assert!(!nothing_may_be_left_out(), "there is no chromedriver");
            tell("SKIPPED, cannot be done here: pages in a browser need chromium and chromedriver");
            return None;
        }
        let profile = tempfile::tempdir().unwrap();
        let mut program = Command::new("chromedriver");
        // A browser keeps more than its profile at home.
        program.arg("--port=0").env("HOME", profile.path());
        let mut process = Process::begin(program, &[]);
        let port = process.until(async |process| {
            let said = process.stdout();
            let port = said.split("started successfully on port ").nth(1)?;
            port.split('.').next().map(str::to_owned)
        });
        let url = format!("http://127.0.0.1:{}", port.await);
        let builder =
            WebDriver::builder(url, capabilities(reader, &profile)).client(http_with(PATIENCE));
        Some(Browser {
            driver: builder.await.unwrap(),
            _process: process,
            _profile: profile,
        })
    }

    /// The one heading of the page.
    pub async fn heading(&self) -> String {
        let headings = self.find_all(By::Tag("h1")).await.unwrap();
        assert_eq!(headings.len(), 1, "{:?}", self.source().await);
        headings[0].text().await.unwrap()
    }

    /// Clicks on the link or button that says so.
    pub async fn click_on(&self, text: &str) {
        let path =
            format!("//a[normalize-space()='{text}'] | //button[normalize-space()='{text}']");
        self.find(By::XPath(path))
            .await
            .unwrap()
            .click()
            .await
            .unwrap();
    }

    /// Writes into the field with that label.
    pub async fn write(&self, label: &str, text: &str) {
        let path = format!("//*[@id=//label[normalize-space()='{label}']/@for]");
        let field = self.find(By::XPath(path)).await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Returns when the page with that heading has come, to which a click leads.
    pub async fn until_heading(&self, heading: &str) {
        let there =
            "return document.readyState === 'complete' && document.querySelector('h1')?.innerText";
        let mut last = Value::Null;
        let came = async {
            loop {
                // Between two pages there is none that could be asked.
                let now = self.execute(there, Vec::new()).await.ok();
                last = now.map(|now| now.json().clone()).unwrap_or_default();
                if last == heading {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, came).await;
        assert!(came.is_ok(), "{heading} does not come, but {last}");
    }

    /// Returns when this stands on the page for a person to read, which it does without anybody's doing.
    pub async fn until_it_reads(&self, text: &str) {
        let reads = async {
            while !self.reads(text).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let read = tokio::time::timeout(PATIENCE, reads).await;
        assert!(read.is_ok(), "{text} does not come");
    }

    /// From the next page on, keeps a count of all that a page must never do: run somebody else's script, or try to.
    pub async fn set_trap(&self) {
        let source = json!({ "source": TRAP });
        let add = "Page.addScriptToEvaluateOnNewDocument";
        self.cdp().send_raw(add, source).await.unwrap();
    }

    /// What was caught on this page.
    pub async fn caught(&self) -> Vec<String> {
        let caught = self.execute("return window.caught", Vec::new()).await;
        caught.unwrap().convert().unwrap()
    }

    /// What axe-core finds on this page that is serious or worse; `None` where there is no axe-core, which is said, and
    /// where nothing may be left out is a failure.
    pub async fn barriers(&self) -> Option<Vec<String>> {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/target/axe/node_modules/axe-core/axe.min.js"
        );
        let Ok(axe) = std::fs::read_to_string(file) else {
            assert!(!nothing_may_be_left_out(), "there is no axe-core");
            tell("SKIPPED, cannot be done here: barriers on pages need axe-core, see .ci/run");
            return None;
        };
        self.execute(axe, Vec::new()).await.unwrap();
        let found = self.execute_async(AXE, Vec::new()).await.unwrap();
        Some(found.convert().unwrap())
    }

    /// Lets pages look as on a light or a dark screen.
    pub async fn likes(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        let set = "Emulation.setEmulatedMedia";
        self.cdp().send_raw(set, features).await.unwrap();
    }

    /// Whether this stands on the page for a person to read.
    pub async fn reads(&self, text: &str) -> bool {
        // WebDriver itself takes all that is for readers without scripts to be hidden.
        let all = "return document.body.innerText";
        let all = self.execute(all, Vec::new()).await.unwrap();
        all.convert::<String>().unwrap().contains(text)
    }

    /// What of the page cannot be read at this width without moving it sideways.
    pub async fn sticks_out(&self, width: u32) -> Vec<String> {
        // A window has a least width, below that of phones.
        let metrics =
            json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false});
        let set = "Emulation.setDeviceMetricsOverride";
        self.cdp().send_raw(set, metrics).await.unwrap();
        self.list(&format!(
            "if (window.innerWidth !== {width}) return ['the window'];{WIDE}"
        ))
        .await
    }

    /// What has more in it than can be seen of it.
    pub async fn is_cut_off(&self) -> Vec<String> {
        self.list(CUT).await
    }

    async fn list(&self, script: &str) -> Vec<String> {
        let found = self.execute(script, Vec::new()).await.unwrap();
        found.convert().unwrap()
    }

    /// Ends the browser and its driver.
    pub async fn quit(self) {
        self.driver.quit().await.unwrap();
    }
}

impl Deref for Browser {
    type Target = WebDriver;

    fn deref(&self) -> &WebDriver {
        &self.driver
    }
}

fn capabilities(reader: Reader, profile: &TempDir) -> ChromeCapabilities {
    let mut chrome = DesiredCapabilities::chrome();
    let data = format!("--user-data-dir={}", profile.path().display());
    for argument in [
        "--headless=new",
        // The browser ends when its driver is gone.
        "--remote-debugging-pipe",
        // Root has no sandbox, and containers little shared memory.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--no-first-run",
        "--no-proxy-server",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        &data,
    ] {
        chrome.add_arg(argument).unwrap();
    }
    let scripts = if reader.scripts { 1 } else { 2 };
    let preferences = json!({
        "intl.accept_languages": reader.languages,
        "profile.default_content_setting_values.javascript": scripts,
    });
    chrome
        .add_experimental_option("prefs", preferences)
        .unwrap();
    chrome
}

#[expect(
    clippy::disallowed_methods,
    reason = "it is about the tests and no setting of the service"
)]
fn nothing_may_be_left_out() -> bool {
    std::env::var("CI").is_ok_and(|ci| ci == "true")
}
