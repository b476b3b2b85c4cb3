//! The browsers that all tests share, one after another in each, and what they do with them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, Once, OnceLock, PoisonError};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use url::Url;

/// How long a page may take to become what a test waits for.
const PATIENCE: Duration = Duration::from_secs(10);
const DESKTOP: (u32, u32) = (1280, 900);
const PHONE: (u32, u32) = (390, 844);

/// Runs a scenario in the browser; afterwards the console must hold no complaint that the scenario did not forgive.
pub(crate) fn browse(scenario: impl AsyncFnOnce(&Browser)) {
    // Two, because one waits most of the time: for pages, for the daemon, for its own windows.
    static BROWSERS: [OnceLock<Option<Mutex<Browser>>>; 2] = [OnceLock::new(), OnceLock::new()];
    static SCENARIOS: AtomicUsize = AtomicUsize::new(0);
    let turn = SCENARIOS.fetch_add(1, Ordering::Relaxed) % BROWSERS.len();
    let Some(browser) = BROWSERS[turn].get_or_init(Browser::start) else { return };
    // A scenario that failed leaves nothing behind that the next one does not clear away.
    let browser = browser.lock().unwrap_or_else(PoisonError::into_inner);
    runtime().block_on(async {
        browser.clear().await;
        scenario(&browser).await;
        let complaints = browser.complaints().await;
        assert!(complaints.is_empty(), "the browser complains: {complaints:#?}");
    });
}

/// Where the browser's connection and the servers of the tests live: as long as the process.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
    })
}

#[expect(clippy::disallowed_methods, reason = "what the tests of the browser may be told")]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A window of Chromium's, with a profile of its own.
pub(crate) struct Browser {
    client: Client,
    forgiven: Mutex<Vec<String>>,
    is_phone: AtomicBool,
    _driver: Driver,
}

/// chromedriver, and a shell that ends it with all that it started when this process is gone, however it went.
struct Driver {
    _shell: Child,
    _until_closed: ChildStdin,
    port: u16,
}

impl Driver {
    fn start() -> Option<Self> {
        // The directory takes the profiles that are left behind when the browser is ended from outside.
        let script = "chromedriver --port=0 & cat >/dev/null; trap '' TERM; kill -TERM 0; wait; rm -rf \"$TMPDIR\"";
        let installed = Command::new("chromedriver").arg("--version").stdout(Stdio::null()).status();
        if !installed.is_ok_and(|status| status.success()) {
            return None;
        }
        let directory = tempfile::Builder::new().prefix("browser-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let directory = directory.expect("a directory").keep();
        let mut command = Command::new("sh");
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut shell = command
            .args(["-c", script])
            .env("TMPDIR", &directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let until_closed = shell.stdin.take().expect("piped");
        let mut said = BufReader::new(shell.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let port = said.find_map(|line| line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse().ok());
        Some(Self { _shell: shell, _until_closed: until_closed, port: port.expect("chromedriver says its port") })
    }
}

/// Says once what was left out.
static TOLD: Once = Once::new();

impl Browser {
    fn start() -> Option<Mutex<Self>> {
        let Some(driver) = Driver::start() else {
            let must = told("PASSBOOK_BROWSER_TESTS").is_some_and(|word| word == "require");
            assert!(!must, "PASSBOOK_BROWSER_TESTS=require, and there is no chromedriver: install chromium-driver");
            // Past the harness, which keeps the words of tests that pass to itself.
            let told = b"LEFT OUT: the tests in a browser; install chromium and chromium-driver to run them\n";
            TOLD.call_once(|| std::io::stderr().write_all(told).expect("somebody listens"));
            return None;
        };
        let (width, height) = DESKTOP;
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--force-color-profile=srgb",
            &format!("--window-size={width},{height}"),
        ];
        let wanted = json!({
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(wanted.as_object().expect("an object").clone());
        let address = format!("http://127.0.0.1:{}", driver.port);
        let client = runtime().block_on(builder.connect(&address)).expect("chromium starts");
        Some(Mutex::new(Self { client, forgiven: Mutex::default(), is_phone: AtomicBool::new(false), _driver: driver }))
    }

    /// Leaves nothing of an earlier scenario.
    async fn clear(&self) {
        self.leave_frame().await;
        self.chrome("Network.clearBrowserCookies", json!({})).await;
        self.goto("about:blank").await;
        self.as_on_a_desktop().await;
        self.block(&[]).await;
        self.chrome("Network.setExtraHTTPHeaders", json!({"headers": {}})).await;
        self.console().await;
        self.forgiven.lock().expect("no panic").clear();
    }

    pub(crate) async fn goto(&self, url: &str) {
        self.client.goto(url).await.expect("the page loads");
    }

    /// As small as a phone, which no window can be, until the scenario ends.
    pub(crate) async fn as_on_a_phone(&self) {
        self.is_phone.store(true, Ordering::Relaxed);
        let (width, height) = PHONE;
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 2, "mobile": true});
        self.chrome("Emulation.setDeviceMetricsOverride", screen).await;
    }

    /// On the large screen again.
    pub(crate) async fn as_on_a_desktop(&self) {
        self.is_phone.store(false, Ordering::Relaxed);
        self.chrome("Emulation.clearDeviceMetricsOverride", json!({})).await;
    }

    /// Loads nothing from these addresses; with none, everything again.
    pub(crate) async fn block(&self, urls: &[&str]) {
        self.chrome("Network.enable", json!({})).await;
        self.chrome("Network.setBlockedURLs", json!({"urls": urls})).await;
    }

    /// As somebody's whose browser asks for pages in these languages, until the scenario ends.
    pub(crate) async fn asks_for(&self, languages: &str) {
        self.chrome("Network.enable", json!({})).await;
        let headers = json!({"headers": {"Accept-Language": languages}});
        self.chrome("Network.setExtraHTTPHeaders", headers).await;
    }

    pub(crate) async fn back(&self) {
        self.client.back().await.expect("a page before");
    }

    pub(crate) async fn refresh(&self) {
        self.client.refresh().await.expect("the page loads");
    }

    /// What a site has the browser carry under this name.
    pub(crate) async fn cookie(&self, name: &str) -> Option<String> {
        self.client.get_named_cookie(name).await.ok().map(|cookie| cookie.value().to_owned())
    }

    /// Sets a cookie by hand for a site.
    pub(crate) async fn set_cookie(&self, site: &str, name: &str, value: &str) {
        self.chrome("Network.setCookie", json!({"url": site, "name": name, "value": value})).await;
    }

    /// Presses a key wherever the focus is.
    pub(crate) async fn press(&self, key: Key) {
        let focus = self.client.active_element().await.expect("a focus");
        focus.send_keys(&char::from(key).to_string()).await.expect("takes keys");
    }

    /// Moves the focus with the keyboard alone until it is on the element.
    pub(crate) async fn tab_to(&self, selector: &str) {
        for _ in 0..20 {
            self.press(Key::Tab).await;
            let is_there = format!("return document.activeElement.matches('{selector}')");
            if self.client.execute(&is_there, Vec::new()).await.expect("a value") == json!(true) {
                return;
            }
        }
        panic!("the keyboard does not lead to {selector}");
    }

    /// The page must not be wider than the screen.
    pub(crate) async fn fits_the_screen(&self) {
        let sizes = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth, screen.width]";
        let sizes = self.client.execute(sizes, Vec::new()).await.expect("sizes");
        let [page, seen, screen] = [0, 1, 2].map(|index| sizes[index].as_u64().expect("a number"));
        assert!(page <= seen && seen <= screen, "{page} wide where {seen} of {screen} are seen");
    }

    /// Gives Chromium an order that is not in chromedriver's standard.
    async fn chrome(&self, order: &str, parameters: Value) {
        let order = Order { path: "goog/cdp/execute", body: json!({"cmd": order, "params": parameters}) };
        self.client.issue_cmd(order).await.expect("is carried out");
    }

    /// The element with a CSS selector, once it is there and can be seen.
    pub(crate) async fn find(&self, selector: &str) -> Element {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Ok(element) = self.client.find(Locator::Css(selector)).await
                && element.is_displayed().await.unwrap_or(false)
            {
                return element;
            }
            if tokio::time::Instant::now() > deadline {
                let page = self.client.source().await.unwrap_or_default();
                panic!("nothing on the page is {selector}: {page}");
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    pub(crate) async fn click(&self, selector: &str) {
        self.find(selector).await.click().await.expect("can be clicked");
    }

    /// Types into a field, in place of what is in it.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let field = self.find(selector).await;
        field.clear().await.expect("can be cleared");
        field.send_keys(text).await.expect("takes text");
    }

    pub(crate) async fn text(&self, selector: &str) -> String {
        self.find(selector).await.text().await.expect("a text")
    }

    /// Waits until an element's text is exactly this.
    pub(crate) async fn reads(&self, selector: &str, expected: &str) {
        self.until_text(selector, expected, |text| text == expected).await;
    }

    /// Waits until an element's text begins with this.
    pub(crate) async fn begins(&self, selector: &str, expected: &str) {
        self.until_text(selector, expected, |text| text.starts_with(expected)).await;
    }

    /// The page may be left while it is read: then it is read once more.
    async fn until_text(&self, selector: &str, expected: &str, is_it: impl Fn(&str) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let text = self.find(selector).await.text().await.unwrap_or_default();
            if is_it(&text) {
                return;
            }
            assert!(tokio::time::Instant::now() <= deadline, "{selector} reads {text:?} instead of {expected:?}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Goes on inside the only frame of the page.
    pub(crate) async fn enter_frame(&self) {
        self.find("iframe").await.enter_frame().await.expect("a frame");
    }

    /// Goes on in the page around the frame.
    pub(crate) async fn leave_frame(&self) {
        // The frame itself may be gone.
        let order = Order { path: "frame", body: json!({"id": null}) };
        self.client.issue_cmd(order).await.expect("a page");
    }

    /// What an expression of JavaScript's is, once it is neither null nor false.
    pub(crate) async fn value(&self, expression: &str) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let value = self.client.execute(&format!("return {expression}"), Vec::new()).await.expect("a value");
            if !value.is_null() && value != json!(false) {
                return value;
            }
            assert!(tokio::time::Instant::now() <= deadline, "{expression} stays {value}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// The address, once it begins so.
    pub(crate) async fn url_below(&self, prefix: &str) -> Url {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let url = self.client.current_url().await.expect("an address");
            if url.as_str().starts_with(prefix) {
                return url;
            }
            assert!(tokio::time::Instant::now() <= deadline, "the browser stays at {url}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Keeps pictures of the page, if somebody wants pictures: on a desktop and a phone, light and dark.
    pub(crate) async fn shoot(&self, name: &str) {
        let Some(directory) = told("PASSBOOK_SCREENSHOTS").map(PathBuf::from) else { return };
        std::fs::create_dir_all(&directory).expect("a directory");
        for (screen, (width, height), scale) in [("desktop", DESKTOP, 1), ("phone", PHONE, 2)] {
            let mut height = u64::from(height);
            // Twice: first to learn how long the page is on such a screen.
            for _ in 0..2 {
                let metrics =
                    json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": scale > 1});
                self.chrome("Emulation.setDeviceMetricsOverride", metrics).await;
                let long = self.client.execute("return document.documentElement.scrollHeight", Vec::new()).await;
                height = height.max(long.expect("a height").as_u64().expect("a number"));
            }
            for scheme in ["light", "dark"] {
                // Without motion, so that no colour is on its way to the other scheme.
                let features = [("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")];
                let features = json!({"features": features.map(|(name, value)| json!({"name": name, "value": value}))});
                self.chrome("Emulation.setEmulatedMedia", features).await;
                let picture = self.client.screenshot().await.expect("a picture");
                std::fs::write(directory.join(format!("{name}-{screen}-{scheme}.png")), picture).expect("is written");
            }
        }
        self.chrome("Emulation.setEmulatedMedia", json!({"features": []})).await;
        if self.is_phone.load(Ordering::Relaxed) {
            self.as_on_a_phone().await;
        } else {
            self.as_on_a_desktop().await;
        }
    }

    /// Lets complaints that hold this text pass: refusals that the scenario asked for.
    pub(crate) fn forgive(&self, text: &str) {
        self.forgiven.lock().expect("no panic").push(text.to_owned());
    }

    /// Errors in the console since the scenario began: of scripts, of loading, and what a policy forbade.
    async fn complaints(&self) -> Vec<String> {
        let lines = self.console().await;
        let errors = lines.into_iter().filter(|line| line["level"] == "SEVERE" || line["source"] == "security");
        // Browsers ask for an icon on their own account.
        let errors = errors.filter(|line| !line["message"].as_str().is_some_and(|text| text.contains("/favicon.ico ")));
        let texts = errors.map(|line| line["message"].as_str().unwrap_or_default().to_owned());
        let forgiven = self.forgiven.lock().expect("no panic");
        texts.filter(|text| !forgiven.iter().any(|known| text.contains(known))).collect()
    }

    async fn console(&self) -> Vec<Value> {
        // Reading empties it.
        let order = Order { path: "se/log", body: json!({"type": "browser"}) };
        let lines = self.client.issue_cmd(order).await.expect("the console");
        lines.as_array().cloned().unwrap_or_default()
    }
}

/// One of chromedriver's own commands.
#[derive(Debug)]
struct Order {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Order {
    fn endpoint(&self, base_url: &Url, session_id: Option<&str>) -> Result<Url, url::ParseError> {
        base_url.join(&format!("session/{}/{}", session_id.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
