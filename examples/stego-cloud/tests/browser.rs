//! The local page in a real browser. Skipped, with a line that says so, where no Chromium is installed.
//!
//! `STEGO_SCREENSHOTS=FOLDER` keeps pictures of what a person sees.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "page/village.rs"]
mod village;
#[path = "page/webdriver.rs"]
mod webdriver;
#[path = "page/wire.rs"]
mod wire;

use std::sync::Arc;

use example_stego_cloud::ui::{Person as _, Ui, person::State};

use village::Village;
use webdriver::{Browser, Look};

const DESK: Look = Look {
    width: 1200,
    height: 900,
    dark: false,
};
const DARK: Look = Look { dark: true, ..DESK };
const PHONE: Look = Look {
    width: 390,
    height: 844,
    dark: false,
};

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

/// The page, opened by its link.
async fn open(browser: &Browser, village: Village) -> (Ui, Arc<Village>) {
    let village = Arc::new(village);
    let ui = Ui::open(village.clone(), 0).await.unwrap();
    browser.open(&ui.link()).await;
    browser
        .until("a connection", "document.querySelector('#live.on')")
        .await;
    (ui, village)
}

/// How the grant `title` of anna stands.
async fn mine(village: &Village, title: &str) -> (State, u32, u32) {
    let grants = village.grants().await.unwrap().mine;
    let grant = grants
        .into_iter()
        .find(|grant| grant.title == title)
        .unwrap();
    (grant.state, grant.used, grant.views)
}

const CANVAS_IS_DRAWN: &str = "(() => { const c = document.querySelector('.viewer canvas'); if (!c || c.hidden || !c.width) return false; \
     const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; return new Set(d).size > 20; })()";
const CANVAS_IS_EMPTY: &str = "(() => { const c = document.querySelector('.viewer canvas'); return c.hidden && c.width === 0; })()";

#[tokio::test]
async fn a_person_asks_is_allowed_looks_twice_and_then_sees_the_cover() {
    let Some(browser) = Browser::start(DESK).await else {
        return;
    };
    let (ui, village) = open(&browser, Village::lively()).await;
    let token_is_gone = format!("location.href === 'http://{}/#gallery'", ui.address());
    browser
        .until("a link without its token", &token_is_gone)
        .await;

    browser
        .until(
            "all offers",
            "document.querySelectorAll('.card').length === 6",
        )
        .await;
    browser
        .until(
            "previews",
            "[...document.querySelectorAll('.card img')].every((image) => image.naturalWidth > 0)",
        )
        .await;
    browser.screenshot("gallery").await;
    browser.type_into("#search", "coffee").await;
    browser
        .until(
            "what was searched for",
            "document.querySelectorAll('.card').length === 1",
        )
        .await;
    browser.click(".card button").await;
    browser.type_into("dialog textarea", "For the club").await;
    browser.screenshot("ask").await;
    browser.click("dialog .primary").await;
    browser
        .until(
            "a request under way",
            "document.querySelector('.card .state.requested')",
        )
        .await;
    assert_eq!(mine(&village, "Morning coffee").await.0, State::Requested);

    browser.click("nav a[href='#grants']").await;
    village.deliver(2);
    browser
        .until(
            "a word of it",
            "document.querySelector('#said').innerText.includes('lets you look at')",
        )
        .await;
    browser
        .until(
            "the grant",
            "document.querySelector('#mine .row.active').innerText.includes('2 of 2 left, until')",
        )
        .await;
    browser.screenshot("grants").await;
    browser.click("#mine .row.active button").await;
    browser
        .until(
            "the price",
            "document.querySelector('.viewer .primary').textContent.includes('1 of 2 views')",
        )
        .await;
    assert_eq!(
        mine(&village, "Morning coffee").await,
        (State::Active, 0, 2),
        "opening the viewer spent a view"
    );
    browser
        .until(
            "the cover",
            "document.querySelector('.viewer .cover').naturalWidth > 0",
        )
        .await;
    browser.screenshot("before-the-look").await;
    browser.click(".viewer .primary").await;
    browser.until("the picture", CANVAS_IS_DRAWN).await;
    browser.screenshot("look").await;
    assert_eq!(
        mine(&village, "Morning coffee").await,
        (State::Active, 1, 2)
    );

    browser.run("window.dispatchEvent(new Event('blur'))").await;
    browser
        .until("nothing on the screen", CANVAS_IS_EMPTY)
        .await;
    browser.screenshot("hidden").await;
    browser.click(".viewer .actions button:not(.primary)").await;
    browser.until("the same view again", CANVAS_IS_DRAWN).await;
    assert_eq!(
        mine(&village, "Morning coffee").await.1,
        1,
        "showing it again spent a view"
    );
    browser.keys(ESCAPE).await;
    browser
        .until("no viewer", "!document.querySelector('dialog')")
        .await;

    browser
        .until(
            "one left",
            "document.querySelector('#mine .row.active').innerText.includes('1 of 2 left')",
        )
        .await;
    browser.click("#mine .row.active button").await;
    browser.click(".viewer .primary").await;
    browser
        .until(
            "the last view",
            "document.querySelector('.viewer .told').textContent.includes('It is the last.')",
        )
        .await;
    browser.click(".viewer .close").await;
    browser
        .until(
            "nothing left",
            "document.querySelector('#mine .row.exhausted')",
        )
        .await;
    browser.click("#mine .row.exhausted button").await;
    browser
        .until(
            "the reason",
            "document.querySelector('.viewer .told').textContent.includes('All views are used')",
        )
        .await;
    browser.until("the cover", "document.querySelector('.viewer .cover').checkVisibility() && document.querySelector('.viewer .cover').naturalWidth === 600").await;
    browser.screenshot("cover").await;
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn a_person_publishes_and_sees_before_what_becomes_public() {
    let Some(browser) = Browser::start(DESK).await else {
        return;
    };
    let (_ui, village) = open(&browser, Village::empty()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("IMG_2041.jpg");
    let mut file = Vec::from(include_bytes!("../assets/cat.jpg").as_slice());
    file.splice(2..2, *b"\xff\xe1\x00\x10Exif\0\0secrets!");
    std::fs::write(&path, &file).unwrap();
    browser
        .until(
            "an empty gallery",
            "document.querySelector('#gallery-empty').checkVisibility()",
        )
        .await;

    browser.click("nav a[href='#publish']").await;
    browser.screenshot("publish-empty").await;
    browser.type_into("#file", path.to_str().unwrap()).await;
    browser
        .until(
            "a rehearsal",
            "document.querySelectorAll('.stays li').length === 3",
        )
        .await;
    browser.type_into("#title", "Cat, on a wall").await;
    browser.click("input[value='thumbnail']").await;
    browser.until("the rehearsal of what is chosen", "document.querySelector('.rehearsal dl')?.innerText.includes('a small picture') && document.querySelector('.rehearsal dl').innerText.includes('Cat, on a wall')").await;
    browser.screenshot("publish").await;
    let before = village.fingerprint();
    assert!(
        !before.contains("Cat, on a wall"),
        "it was published unasked"
    );
    browser.click("#publish-now").await;
    browser
        .until(
            "it among the offers",
            "document.querySelector('.card h2')?.textContent === 'Cat, on a wall'",
        )
        .await;

    // Dropped instead of chosen, and no picture.
    browser.click("nav a[href='#publish']").await;
    browser.run("const t = new DataTransfer(); t.items.add(new File(['no picture'], 'notes.txt')); \
                 document.querySelector('#drop').dispatchEvent(new DragEvent('drop', { dataTransfer: t, bubbles: true, cancelable: true }))").await;
    browser
        .until(
            "a refusal",
            "document.querySelector('#publish-problem').innerText.includes('no JPEG, PNG or WebP')",
        )
        .await;
    assert_eq!(
        browser
            .run("return document.querySelector('#publish-now').disabled")
            .await,
        true
    );
    let complaints = browser.complaints().await;
    assert!(
        complaints.iter().all(|text| text.contains("422")),
        "{complaints:?}"
    );
}

#[tokio::test]
async fn a_person_approves_fewer_rejects_extends_takes_back_and_sees_who_looked() {
    let Some(browser) = Browser::start(DARK).await else {
        return;
    };
    let (_ui, village) = open(&browser, Village::lively()).await;
    browser.screenshot("dark-gallery").await;
    browser
        .until(
            "two requests",
            "document.querySelector('#inbox-count').textContent === '2'",
        )
        .await;

    browser.click("nav a[href='#inbox']").await;
    browser.screenshot("dark-inbox").await;
    browser.run("const f = document.querySelector('#waiting input'); f.value = '2'; f.dispatchEvent(new Event('input'))").await;
    browser
        .until(
            "fewer",
            "document.querySelector('#waiting .primary').textContent === 'Approve 2 of 3 views'",
        )
        .await;
    // What is typed stays when something else changes.
    village.ask("clara", "My cat, asleep", 1, "");
    browser
        .until(
            "a third request",
            "document.querySelectorAll('#waiting .row').length === 3",
        )
        .await;
    browser.click("#waiting .primary").await;
    browser
        .until(
            "two requests again",
            "document.querySelectorAll('#waiting .row').length === 2",
        )
        .await;
    browser.click("#waiting .danger").await;
    browser
        .type_into("dialog textarea", "Ten is too many.")
        .await;
    browser.screenshot("dark-reject").await;
    browser.click("dialog .danger").await;
    browser
        .until(
            "one request",
            "document.querySelectorAll('#waiting .row').length === 1",
        )
        .await;
    let given = village.grants().await.unwrap().given;
    assert_eq!(
        (given[0].state, given[0].why.as_deref()),
        (State::Rejected, Some("Ten is too many."))
    );
    assert_eq!(
        (given[1].state, given[1].views, given[1].asked),
        (State::Active, 2, 3)
    );

    browser.click("nav a[href='#grants']").await;
    browser
        .until(
            "grants",
            "document.querySelectorAll('#given .row').length === 4",
        )
        .await;
    browser.screenshot("dark-grants").await;
    let clara = "#given .row:nth-child(3)";
    browser
        .click(&format!("{clara} [data-focus='audit']"))
        .await;
    browser
        .until(
            "two looks",
            "document.querySelectorAll('dialog tbody tr').length === 2",
        )
        .await;
    browser.screenshot("dark-audit").await;
    browser.keys(ESCAPE).await;
    browser
        .click(&format!("{clara} [data-focus='extend']"))
        .await;
    browser
        .run("document.querySelector('dialog input[name=views]').value = '6'")
        .await;
    browser.click("dialog .primary").await;
    browser
        .until(
            "four left",
            "document.querySelector('#given .row:nth-child(3)').innerText.includes('4 of 6 left')",
        )
        .await;
    browser
        .click(&format!("{clara} [data-focus='revoke']"))
        .await;
    browser.screenshot("dark-take-back").await;
    browser.click("dialog .danger").await;
    browser
        .until(
            "it taken back",
            "document.querySelector('#given .row:nth-child(3)').innerText.includes('Taken back')",
        )
        .await;
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn all_of_it_fits_on_a_phone() {
    let Some(browser) = Browser::start(PHONE).await else {
        return;
    };
    let (_ui, _village) = open(&browser, Village::lively()).await;
    browser
        .until(
            "all offers",
            "document.querySelectorAll('.card').length === 6",
        )
        .await;

    for part in ["gallery", "publish", "inbox", "grants"] {
        browser.click(&format!("nav a[href='#{part}']")).await;
        browser
            .until(
                part,
                &format!("document.querySelector('#{part}').checkVisibility()"),
            )
            .await;
        browser
            .until(
                "no sideways scrolling",
                "document.documentElement.scrollWidth <= window.innerWidth",
            )
            .await;
        browser.screenshot(&format!("phone-{part}")).await;
    }
    browser.click("#mine .row.active button").await;
    browser
        .until(
            "the cover",
            "document.querySelector('.viewer .cover').naturalWidth > 0",
        )
        .await;
    browser.screenshot("phone-look").await;
    browser
        .until(
            "no sideways scrolling",
            "document.documentElement.scrollWidth <= window.innerWidth",
        )
        .await;
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn a_keyboard_is_enough() {
    let Some(browser) = Browser::start(DESK).await else {
        return;
    };
    let (_ui, village) = open(&browser, Village::lively()).await;
    let focus = "return document.activeElement.outerHTML.slice(0, 200)";
    let tab_to = async |selector: &str| {
        for _ in 0..60 {
            browser.keys(TAB).await;
            let script = format!(
                "return document.activeElement.matches({})",
                serde_json::json!(selector)
            );
            if browser.run(&script).await == true {
                let outline = browser
                    .run("return getComputedStyle(document.activeElement).outlineStyle")
                    .await;
                assert_eq!(
                    outline,
                    "solid",
                    "the focus is not seen: {}",
                    browser.run(focus).await
                );
                return;
            }
        }
        panic!(
            "{selector} is not reached; the focus is at {}",
            browser.run(focus).await
        );
    };

    tab_to("nav a[href='#inbox']").await;
    browser.keys(ENTER).await;
    browser
        .until(
            "its title to have the focus",
            "document.activeElement.id === 'inbox-title'",
        )
        .await;
    tab_to("#waiting [data-focus='approve']").await;
    browser.keys(ENTER).await;
    browser
        .until(
            "one request less",
            "document.querySelectorAll('#waiting .row').length === 1",
        )
        .await;
    browser.run("document.querySelector('.skip').focus()").await;
    tab_to("nav a[href='#grants']").await;
    browser.keys(ENTER).await;
    tab_to("#mine .active button").await;
    browser.keys(ENTER).await;
    browser
        .until(
            "the focus on the price",
            "document.activeElement.matches('.viewer .primary')",
        )
        .await;
    assert_eq!(mine(&village, "Cat on the garden wall").await.1, 1);
    browser.keys(ENTER).await;
    browser.until("the picture", CANVAS_IS_DRAWN).await;
    browser.keys(ESCAPE).await;
    browser.until("the focus back", "!document.querySelector('dialog') && document.activeElement.matches('[data-focus=look]')").await;
    assert_eq!(mine(&village, "Cat on the garden wall").await.1, 2);
}

#[tokio::test]
async fn a_browser_without_the_link_sees_that_it_needs_one() {
    let Some(browser) = Browser::start(DESK).await else {
        return;
    };
    let ui = Ui::open(Arc::new(Village::lively()), 0).await.unwrap();

    browser.open(&format!("http://{}/", ui.address())).await;
    browser
        .until(
            "a word of it",
            "document.querySelector('#locked').checkVisibility()",
        )
        .await;
    browser.screenshot("locked").await;
    let text = browser.run("return document.body.innerText").await;

    let text = text.as_str().unwrap();
    assert!(text.contains("Open the link"), "{text}");
    assert!(!text.contains("anna") && !text.contains("Inbox"), "{text}");
}
