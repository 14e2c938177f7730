//! One Chromium with its driver, and what a person does with it: look, click, type.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fantoccini::actions::{InputSource as _, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{WAIT_MAX, found, setting};

/// What each of them is called by different systems.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const DRIVERS: [&str; 1] = ["chromedriver"];
/// Tries to start a driver.
const DRIVER_STARTS_MAX: usize = 5;
/// How long the end of a browser may take when a test is over.
const END_MAX: Duration = Duration::from_secs(10);
/// Presses of the tabulator key that lead to anything on a page.
const TABS_MAX: usize = 30;
/// Width and height of a small phone, in pixels of the page.
const PHONE: (u32, u32) = (320, 640);
const DESKTOP: (u32, u32) = (1280, 900);

/// How a browser is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) scripts: bool,
    pub(super) cookies: bool,
    pub(super) phone: bool,
}

impl Kind {
    pub(super) const DESKTOP: Self = Self {
        scripts: true,
        cookies: true,
        phone: false,
    };
    pub(super) const WITHOUT_SCRIPTS: Self = Self {
        scripts: false,
        ..Self::DESKTOP
    };
    pub(super) const WITHOUT_COOKIES: Self = Self {
        cookies: false,
        ..Self::DESKTOP
    };
    pub(super) const PHONE: Self = Self {
        phone: true,
        ..Self::DESKTOP
    };
}

/// A browser with a profile of its own. It ends when dropped.
pub(super) struct Browser {
    client: Client,
    session: String,
    driver_addr: SocketAddr,
    pictures: Option<PathBuf>,
    _driver: Child,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser. `name` goes into the names of its pictures.
    pub(super) async fn start(name: &str, kind: Kind) -> Self {
        let program = find_program(&BROWSERS);
        let profile = tempfile::tempdir().unwrap();
        let (driver, driver_addr) = start_driver(&find_program(&DRIVERS), profile.path()).await;
        let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities(&program, profile.path(), kind))
            .connect(&format!("http://{driver_addr}"))
            .await
            .unwrap();
        let session = client.session_id().await.unwrap().unwrap();
        let pictures = setting("ROPELINE_TEST_PICTURES").map(|dir| PathBuf::from(dir).join(name));
        if let Some(dir) = &pictures {
            std::fs::create_dir_all(dir).unwrap();
        }
        Self {
            client,
            session,
            driver_addr,
            pictures,
            _driver: driver,
            _profile: profile,
        }
    }

    pub(super) async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Runs `script` in every page from now on, before the page's own.
    pub(super) async fn before_each_page(&self, script: &str) {
        let url = format!(
            "http://{}/session/{}/goog/cdp/execute",
            self.driver_addr, self.session
        );
        let command = json!({
            "cmd": "Page.addScriptToEvaluateOnNewDocument", "params": { "source": script },
        });
        let answer = reqwest::Client::new().post(url).json(&command).send().await;
        assert!(answer.unwrap().status().is_success());
    }

    /// The address of the page shown.
    pub(super) async fn url(&self) -> String {
        self.client.current_url().await.unwrap().into()
    }

    /// The path of the page shown, with its query.
    pub(super) async fn path(&self) -> String {
        let url = self.client.current_url().await.unwrap();
        match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        }
    }

    /// Waits for a page whose address begins with `prefix`, on whichever server.
    pub(super) async fn arrives_at(&self, prefix: &str) {
        let arrived = found(async || {
            let path = self.path().await;
            path.starts_with(prefix).then_some(())
        });
        if arrived.await.is_none() {
            self.fail(&format!("never arrives at {prefix}")).await;
        }
    }

    /// Waits for an element that is there to be seen.
    pub(super) async fn sees(&self, css: &str) -> Element {
        let seen = found(async || {
            let element = self.client.find(Locator::Css(css)).await.ok()?;
            // It may be gone again when the page loads anew; then the next look finds out.
            element.is_displayed().await.ok()?.then_some(element)
        });
        match seen.await {
            Some(element) => element,
            None => self.fail(&format!("{css} is never seen")).await,
        }
    }

    /// How many elements there are, seen or not.
    pub(super) async fn count(&self, css: &str) -> usize {
        let found = self.client.find_all(Locator::Css(css)).await.unwrap();
        found.len()
    }

    /// Whether an element is there to be seen now.
    pub(super) async fn has(&self, css: &str) -> bool {
        match self.client.find(Locator::Css(css)).await {
            Ok(element) => element.is_displayed().await.unwrap_or(false),
            Err(_) => false,
        }
    }

    /// Clicks what may be gone by the time. Whether it was there.
    pub(super) async fn may_click(&self, css: &str) -> bool {
        match self.client.find(Locator::Css(css)).await {
            Ok(element) => element.click().await.is_ok(),
            Err(_) => false,
        }
    }

    /// Clicks what is there to be seen.
    pub(super) async fn clicks(&self, css: &str) {
        let clicked = found(async || {
            let element = self.client.find(Locator::Css(css)).await.ok()?;
            element.click().await.ok()
        });
        if clicked.await.is_none() {
            self.fail(&format!("{css} can never be clicked")).await;
        }
    }

    /// Clicks with a mouse where an element is, on whatever takes the click there.
    pub(super) async fn clicks_where(&self, css: &str) {
        let element = self.sees(css).await;
        let (x, y, width, height) = element.rectangle().await.unwrap();
        let scrolled = self.script("return [scrollX, scrollY]", &[]).await;
        let at = |start: f64, size: f64, axis: usize| {
            let scrolled = scrolled[axis].as_f64().unwrap_or_default();
            start + size / 2.0 - scrolled
        };
        let mouse = MouseActions::new("mouse".to_owned())
            .then(PointerAction::MoveTo {
                duration: None,
                x: at(x, width, 0),
                y: at(y, height, 1),
            })
            .then(PointerAction::Down {
                button: MOUSE_BUTTON_LEFT,
            })
            .then(PointerAction::Up {
                button: MOUSE_BUTTON_LEFT,
            });
        self.client.perform_actions(mouse).await.unwrap();
    }

    /// An attribute of an element.
    pub(super) async fn attribute(&self, css: &str, name: &str) -> String {
        let element = self.client.find(Locator::Css(css)).await.unwrap();
        element.attr(name).await.unwrap().unwrap_or_default()
    }

    /// How much the page moved under its reader so far: the score that browsers count, in
    /// thousandths.
    pub(super) async fn layout_shift(&self) -> u64 {
        let script = "return new Promise((resolve) => { \
            let sum = 0; \
            new PerformanceObserver((list) => { \
              for (const one of list.getEntries()) if (!one.hadRecentInput) sum += one.value; \
            }).observe({ type: 'layout-shift', buffered: true }); \
            requestAnimationFrame(() => setTimeout(() => resolve(Math.round(sum * 1000)), 0)); })";
        let script = self.script(script, &[]).await;
        script.as_u64().unwrap()
    }

    /// Bytes that the page and all it loaded took on the way.
    pub(super) async fn transferred(&self) -> u64 {
        let script = "return ['navigation', 'resource'] \
            .flatMap((kind) => performance.getEntriesByType(kind)) \
            .reduce((sum, entry) => sum + entry.transferSize, 0)";
        self.script(script, &[]).await.as_u64().unwrap()
    }

    /// Types into a field, or presses keys on what has the focus there.
    pub(super) async fn types(&self, css: &str, keys: &str) {
        self.sees(css).await.send_keys(keys).await.unwrap();
    }

    /// Presses a key wherever the focus is.
    pub(super) async fn presses(&self, key: Key) {
        let focused = self.client.active_element().await.unwrap();
        let key = char::from(key).to_string();
        focused.send_keys(&key).await.unwrap();
    }

    /// Whether an element has the focus.
    pub(super) async fn has_focus(&self, css: &str) -> bool {
        self.count(&format!("{css}:focus")).await == 1
    }

    /// Goes to an element with the tabulator key alone.
    pub(super) async fn tabs_to(&self, css: &str) {
        for _ in 0..TABS_MAX {
            if self.has_focus(css).await {
                return;
            }
            self.presses(Key::Tab).await;
        }
        self.fail(&format!("the tabulator key does not lead to {css}"))
            .await;
    }

    /// Whether a picture has been loaded and can be shown.
    pub(super) async fn is_loaded(&self, css: &str) -> bool {
        self.sees(css).await;
        let width = "return document.querySelector(arguments[0]).naturalWidth";
        self.script(width, &[css]).await != 0
    }

    /// Brings an element to the top of what is seen.
    pub(super) async fn scrolls_to(&self, css: &str) {
        let scroll = "document.querySelector(arguments[0]).scrollIntoView()";
        self.script(scroll, &[css]).await;
    }

    /// The cookies of the site shown, as a header.
    pub(super) async fn cookies(&self) -> String {
        let cookies = self.client.get_all_cookies().await.unwrap();
        let pairs: Vec<_> = cookies
            .iter()
            .map(|cookie| format!("{}={}", cookie.name(), cookie.value()))
            .collect();
        pairs.join("; ")
    }

    /// Forgets the cookies of the site shown.
    pub(super) async fn forgets_cookies(&self) {
        self.client.delete_all_cookies().await.unwrap();
    }

    /// The text of an element as it is seen now; nothing when it is not seen.
    pub(super) async fn text(&self, css: &str) -> Option<String> {
        let element = self.client.find(Locator::Css(css)).await.ok()?;
        let text = element.text().await.ok()?;
        (!text.is_empty()).then_some(text)
    }

    /// Waits until an element reads as `is_right` wants, and gives what it reads.
    pub(super) async fn reads_as(&self, css: &str, is_right: impl Fn(&str) -> bool) -> String {
        let mut last = None;
        let wanted = found(async || {
            last = self.text(css).await;
            last.clone().filter(|text| is_right(text))
        });
        if let Some(text) = wanted.await {
            return text;
        }
        let problem = format!("{css} reads {last:?} and never what was waited for");
        self.fail(&problem).await
    }

    /// Fails the test, telling what is on the page.
    async fn fail(&self, problem: &str) -> ! {
        self.picture("failed").await;
        let path = self.path().await;
        let text = self.text("body").await.unwrap_or_default();
        panic!("{problem}, on {path}:\n{text}")
    }

    /// Waits until an element reads exactly so.
    pub(super) async fn reads(&self, css: &str, text: &str) {
        self.reads_as(css, |now| now == text).await;
    }

    /// Waits until an element has some words in it.
    pub(super) async fn mentions(&self, css: &str, words: &str) -> String {
        self.reads_as(css, |now| now.contains(words)).await
    }

    /// The value of a script of the test. It runs also where a page may run none itself.
    pub(super) async fn script(&self, script: &str, arguments: &[&str]) -> Value {
        let arguments = arguments.iter().map(|argument| json!(argument)).collect();
        self.client.execute(script, arguments).await.unwrap()
    }

    /// Checks that a page is not wider than a small phone, and keeps a picture of it.
    pub(super) async fn fits(&self, name: &str) {
        self.picture(name).await;
        let width = self
            .script("return document.documentElement.scrollWidth", &[])
            .await;
        if width
            .as_u64()
            .is_none_or(|width| width > u64::from(PHONE.0))
        {
            let wide = "return [...document.querySelectorAll('body *')]\
                .filter((one) => one.getBoundingClientRect().right > 321)\
                .map((one) => one.outerHTML.slice(0, 120)).slice(0, 5)";
            let wide = self.script(wide, &[]).await;
            self.fail(&format!("{name} is {width} wide, by {wide:#}"))
                .await;
        }
    }

    /// Keeps a picture of what is seen, if pictures are wanted.
    pub(super) async fn picture(&self, name: &str) {
        if let Some(dir) = &self.pictures {
            let png = self.client.screenshot().await.unwrap();
            std::fs::write(dir.join(format!("{name}.png")), png).unwrap();
        }
    }

    /// Asks the driver to end the browser; only this also ends the browser's own children.
    fn end(&self) -> std::io::Result<()> {
        let mut driver = TcpStream::connect_timeout(&self.driver_addr, END_MAX)?;
        driver.set_read_timeout(Some(END_MAX))?;
        write!(
            driver,
            "DELETE /session/{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.session, self.driver_addr
        )?;
        driver.read_to_end(&mut Vec::new())?;
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver, killed next, may be gone already; a failed test has said more than this.
        let _ = self.end();
    }
}

pub(crate) fn find_program(names: &[&str]) -> PathBuf {
    // Servers are where ordinary users do not look.
    let path = format!("{}:/usr/sbin:/sbin", setting("PATH").unwrap_or_default());
    std::env::split_paths(&path)
        .flat_map(|dir| names.iter().map(move |name| dir.join(name)))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!(
                "{} is not installed: run scripts/install-servers --test",
                names[0]
            )
        })
}

/// Starts the driver on a free port. The one it chooses may be taken by the time it listens at its
/// second address; then it ends.
async fn start_driver(program: &Path, dir: &Path) -> (Child, SocketAddr) {
    for _ in 0..DRIVER_STARTS_MAX {
        if let Some(started) = try_driver(program, dir).await {
            return started;
        }
    }
    panic!("the driver ended {DRIVER_STARTS_MAX} times");
}

/// The driver and the port that it prints; `None` when it ended before.
async fn try_driver(program: &Path, dir: &Path) -> Option<(Child, SocketAddr)> {
    let mut driver = Command::new(program)
        .arg("--port=0")
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = tokio::time::timeout(WAIT_MAX, async {
        loop {
            let line = lines.next_line().await.unwrap()?;
            let Some((_, port)) = line.rsplit_once("successfully on port ") else {
                continue;
            };
            return Some(port.trim_end_matches('.').parse::<u16>().unwrap());
        }
    });
    let port = port.await.expect("the driver said no port")?;
    Some((driver, SocketAddr::from(([127, 0, 0, 1], port))))
}

fn capabilities(program: &Path, profile: &Path, kind: Kind) -> Capabilities {
    let (width, height) = if kind.phone { PHONE } else { DESKTOP };
    let mut args = vec![
        "--headless".to_owned(),
        // Containers run tests as root, where Chromium has no sandbox.
        "--no-sandbox".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--disable-gpu".to_owned(),
        "--disable-quic".to_owned(),
        "--no-first-run".to_owned(),
        "--disable-background-networking".to_owned(),
        "--disable-component-update".to_owned(),
        "--disable-sync".to_owned(),
        "--lang=en-GB".to_owned(),
        format!("--window-size={width},{height}"),
        format!("--user-data-dir={}", profile.display()),
    ];
    if !kind.scripts {
        args.push("--blink-settings=scriptEnabled=false".to_owned());
    }
    let mut options = json!({ "binary": program, "args": args });
    if !kind.cookies {
        let blocked = 2;
        options["prefs"] = json!({ "profile.default_content_setting_values.cookies": blocked });
    }
    if kind.phone {
        options["mobileEmulation"] = json!({
            "deviceMetrics": { "width": width, "height": height, "pixelRatio": 2.0, "touch": true },
        });
    }
    let capabilities = json!({
        "browserName": "chrome",
        // Certificates of tests are of authorities that nobody believes.
        "acceptInsecureCerts": true,
        "goog:chromeOptions": options,
    });
    match capabilities {
        Value::Object(capabilities) => capabilities,
        _ => Capabilities::new(),
    }
}
