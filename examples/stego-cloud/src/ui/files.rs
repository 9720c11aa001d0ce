//! The files of the page, which are part of the program, and the headers that keep the page to them.
//!
//! Anyone who is on this machine may read these files: they say nothing of the person.

use distri::http::{Body, Request, Response};

/// Nothing is loaded but what is listed here, nothing is run that is written into the page, no other
/// page may frame it, and strings become no markup (`require-trusted-types-for`).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' blob:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// What a page of pictures has no use for.
const PERMISSIONS: &str = "camera=(), microphone=(), geolocation=(), display-capture=(), usb=(), \
                           payment=(), clipboard-read=()";

const FILES: [(&str, &str, &str); 11] = [
    (
        "/",
        "text/html; charset=utf-8",
        include_str!("page/index.html"),
    ),
    (
        "/style.css",
        "text/css; charset=utf-8",
        include_str!("page/style.css"),
    ),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
    ("/app.js", SCRIPT, include_str!("page/app.js")),
    ("/server.js", SCRIPT, include_str!("page/server.js")),
    ("/dom.js", SCRIPT, include_str!("page/dom.js")),
    ("/gallery.js", SCRIPT, include_str!("page/gallery.js")),
    ("/publish.js", SCRIPT, include_str!("page/publish.js")),
    ("/inbox.js", SCRIPT, include_str!("page/inbox.js")),
    ("/grants.js", SCRIPT, include_str!("page/grants.js")),
    ("/viewer.js", SCRIPT, include_str!("page/viewer.js")),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Answers with a file.
pub(super) fn answer(request: &Request) -> Response {
    let file = FILES.iter().find(|(path, _, _)| *path == request.path());
    let Some((_, kind, text)) = file else {
        return Response::text(404, "nothing is served here\n");
    };
    if !matches!(request.method(), "GET" | "HEAD") {
        return Response::text(405, "only GET and HEAD\n").with("allow", "GET, HEAD");
    }
    Response::new(200).body(kind, Body::Whole(text.as_bytes().into()))
}

/// What every answer says to the browser.
pub(super) fn secured(answer: Response) -> Response {
    answer
        .with("content-security-policy", POLICY)
        .with("permissions-policy", PERMISSIONS)
        .with("cache-control", "no-store")
        .with("x-content-type-options", "nosniff")
        .with("x-frame-options", "DENY")
        .with("referrer-policy", "no-referrer")
        .with("cross-origin-opener-policy", "same-origin")
        .with("cross-origin-resource-policy", "same-origin")
}
