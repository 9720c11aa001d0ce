//! What a descriptor says of what was written.

use std::time::Duration;

use distri::{
    Context, Result,
    service::{Access, MethodDescriptor, Placement},
};

#[derive(Default)]
struct Library;

/// Lends books.
///
/// To members.
#[distri::service(
    name = "lending",
    version = 3,
    register = false,
    access = role("reader"),
    timeout = "2m",
    concurrency = 9
)]
impl Library {
    /// Lends the book `title`.
    #[method(idempotent, timeout = "250ms", access = node, placement = key(title), concurrency = 1)]
    async fn lend(
        &self,
        cx: &Context,
        /// As on the cover.
        title: String,
        days: Option<u32>,
    ) -> Result<bool> {
        let _ = (cx, title, days);
        Ok(true)
    }

    #[method(name = "return", placement = leader)]
    async fn give_back(&self) -> Result<()> {
        Ok(())
    }

    #[method(idempotent, hedge = "40ms")]
    async fn find(&self, title: String) -> Result<bool> {
        Ok(title.is_empty())
    }
}

fn lend() -> &'static MethodDescriptor {
    &LibraryClient::descriptor().methods[0]
}

#[test]
fn names_docs_and_version_are_those_written() {
    let library = LibraryClient::descriptor();

    assert_eq!((library.name.as_str(), library.version), ("lending", 3));
    assert_eq!(library.docs, "Lends books.\n\nTo members.");
    assert_eq!(lend().name, "lend");
    assert_eq!(lend().docs, "Lends the book `title`.");
    assert_eq!(library.methods[1].name, "return");
    assert_eq!(library.methods[1].docs, "");
}

#[test]
fn policies_are_those_of_the_method_or_else_of_the_service() {
    let give_back = &LibraryClient::descriptor().methods[1];

    assert!(lend().idempotent && !give_back.idempotent);
    assert_eq!(lend().timeout, Duration::from_millis(250));
    assert_eq!(give_back.timeout, Duration::from_secs(120));
    assert_eq!(
        (lend().concurrency, give_back.concurrency),
        (Some(1), Some(9))
    );
    assert_eq!(lend().access, Access::Node);
    assert_eq!(give_back.access, Access::Role("reader".into()));
    assert_eq!(lend().placement, Placement::Key("title".into()));
    assert_eq!(give_back.placement, Placement::Leader);
    assert_eq!((lend().hedge, give_back.hedge), (None, None));
}

#[test]
fn to_add_a_hedge_changes_no_schema() {
    #[derive(Default)]
    struct Plain;

    #[distri::service(register = false)]
    impl Plain {
        #[method(idempotent)]
        async fn find(&self, title: String) -> Result<bool> {
            Ok(title.is_empty())
        }
    }

    let find = &LibraryClient::descriptor().methods[2];
    let before = &PlainClient::descriptor().methods[0];

    assert_eq!(find.hedge, Some(Duration::from_millis(40)));
    assert_eq!(before.hedge, None);
    assert_eq!(find.schema_hash, before.schema_hash);
}

#[test]
fn the_schema_of_arguments_is_that_of_a_struct_with_these_fields() {
    #[distri::message]
    #[allow(dead_code, reason = "only its schema is used")]
    struct LendArguments {
        /// As on the cover.
        title: String,
        days: Option<u32>,
    }

    let by_hand = MethodDescriptor::new::<LendArguments, bool>("lend");

    assert_eq!(lend().arguments, by_hand.arguments);
    assert_eq!(lend().schema_hash, by_hand.schema_hash);
    assert_eq!(lend().arguments["required"].to_string(), r#"["title"]"#);
    assert_eq!(lend().result["type"], "boolean");
}

#[test]
fn a_method_without_arguments_has_an_empty_object() {
    #[distri::message]
    struct Nothing {}

    let give_back = &LibraryClient::descriptor().methods[1];
    let by_hand = MethodDescriptor::new::<Nothing, ()>("return");

    assert_eq!(give_back.arguments, by_hand.arguments);
    assert_eq!(give_back.schema_hash, by_hand.schema_hash);
}

#[test]
fn methods_with_other_types_or_another_order_have_another_hash() {
    #[derive(Default)]
    struct Sizes;

    #[distri::service(register = false)]
    impl Sizes {
        async fn a(&self, width: u32, height: u32) -> Result<()> {
            let _ = (width, height);
            Ok(())
        }
        async fn b(&self, height: u32, width: u32) -> Result<()> {
            let _ = (width, height);
            Ok(())
        }
        async fn c(&self, width: u32, height: u64) -> Result<()> {
            let _ = (width, height);
            Ok(())
        }
    }

    let [a, b, c] = SizesClient::descriptor().methods.as_slice() else {
        panic!("three methods")
    };
    assert!(a.schema_hash != b.schema_hash && a.schema_hash != c.schema_hash);
}
