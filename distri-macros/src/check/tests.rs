//! The rules for whole items: one mistake, one complaint, and what is kept beside it.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse_quote;

use super::*;
use crate::model::{Access, Placement};

fn check_impl(options: TokenStream, mut item: ItemImpl) -> (Option<Implementation>, Vec<String>) {
    let mut complaints = Complaints::default();
    let settings = parse::options::of_tokens(options, &mut complaints);
    let functions = parse::functions_of_impl(&mut item, &mut complaints);
    let checked = implementation(&settings, &mut item, &functions, &mut complaints);
    (checked, complaints.messages())
}

fn check_trait(options: TokenStream, mut item: ItemTrait) -> (Declaration, Vec<String>) {
    let mut complaints = Complaints::default();
    let settings = parse::options::of_tokens(options, &mut complaints);
    let functions = parse::functions_of_trait(&mut item, &mut complaints);
    let checked = declaration(&settings, &mut item, &functions, &mut complaints);
    (checked, complaints.messages())
}

/// The only complaint about a service with this one method.
fn complaint_about(method: TokenStream) -> String {
    let (_, mut complaints) = check_impl(quote!(), parse_quote!(impl WordCount { #method }));
    assert_eq!(complaints.len(), 1, "{method}: {complaints:?}");
    complaints.remove(0)
}

#[test]
fn a_service_is_described_by_what_is_written() {
    let (checked, complaints) = check_impl(
        quote!(access = member, timeout = "2s"),
        parse_quote! {
            /// Counts words.
            impl words::WordCount {
                /// Counts.
                #[method(idempotent, placement = key(user), timeout = "5s")]
                pub async fn r#count(&self, cx: &Context, #[doc = " Who."] user: UserId, mut text: String)
                    -> Result<usize, Refusal> { Ok(1) }
                async fn follow(&self, words: Stream<String>) -> distri::Result<Stream<Self>> { Ok(words.into()) }
            }
        },
    );

    assert_eq!(complaints, [""; 0]);
    let interface = checked.unwrap().interface;
    assert_eq!(interface.name, "word-count");
    assert_eq!(interface.docs, "Counts words.");
    assert_eq!(interface.client, "WordCountClient");
    let [count, follow] = interface.methods.as_slice() else {
        panic!("two methods")
    };
    assert_eq!(count.name, "count");
    assert!(count.takes_context && count.idempotent);
    assert!(!count.client_streams && !count.server_streams);
    assert_eq!(count.placement, Placement::Key(0));
    assert_eq!(count.timeout.unwrap().as_secs(), 5);
    assert_eq!(count.access, Access::Member);
    assert_eq!(types::display(&count.output), "usize");
    assert_eq!(parse::docs(&count.arguments[0].attributes), "Who.");
    assert_eq!(count.arguments[1].ident, "text");
    assert!(!follow.takes_context && follow.client_streams && follow.server_streams);
    assert_eq!(follow.timeout.unwrap().as_secs(), 2);
    assert_eq!(types::display(&follow.output), "Stream<words::WordCount>");
}

#[test]
fn a_method_option_overrides_that_of_the_service() {
    let (checked, complaints) = check_impl(
        quote!(idempotent, placement = leader),
        parse_quote! {
            impl Ledger {
                async fn read(&self) -> Result<u8> { Ok(1) }
                #[method(idempotent = false, placement = any)]
                async fn write(&self) -> Result<u8> { Ok(1) }
            }
        },
    );

    assert_eq!(complaints, [""; 0]);
    let methods = checked.unwrap().interface.methods;
    assert!(methods[0].idempotent && methods[0].placement == Placement::Leader);
    assert!(!methods[1].idempotent && methods[1].placement == Placement::Any);
}

#[test]
fn each_mistake_in_a_signature_is_told_once_and_says_what_to_write() {
    for (method, advice) in [
        (
            quote!(
                fn helper() {}
            ),
            "move helpers to an `impl` block without",
        ),
        (
            quote!(
                fn count(&self) -> Result<u8> {}
            ),
            "write `async fn count`",
        ),
        (
            quote!(
                async fn open(n: &NodeHandle, c: C) -> Result<Self> {}
            ),
            "takes `&self` first",
        ),
        (
            quote!(
                async fn count(self) -> Result<u8> {}
            ),
            "write `&self`",
        ),
        (
            quote!(
                async fn count(self: Arc<Self>) -> Result<u8> {}
            ),
            "write `&self`",
        ),
        (
            quote!(
                async fn count(&mut self) -> Result<u8> {}
            ),
            "keep what changes in a `Mutex`",
        ),
        (
            quote!(
                async fn count<T>(&self, t: T) -> Result<T> {}
            ),
            "instead of generic parameters",
        ),
        (
            quote!(
                async unsafe fn count(&self) -> Result<u8> {}
            ),
            "remove `unsafe`",
        ),
        (
            quote!(
                async fn new(&self) -> Result<u8> {}
            ),
            "#[method(name = \"new\")]",
        ),
        (
            quote!(
                async fn count(&self, text: &str) -> Result<u8> {}
            ),
            "write `String`",
        ),
        (
            quote!(
                async fn count(&self, (a, b): (u8, u8)) -> Result<u8> {}
            ),
            "in the body",
        ),
        (
            quote!(
                async fn count(&self, _: u8) -> Result<u8> {}
            ),
            "write one",
        ),
        (
            quote!(
                async fn count(&self, #[serde(default)] n: u8) -> Result<u8> {}
            ),
            "`Option`",
        ),
        (
            quote!(
                async fn count(&self, a: u8, cx: &Context) -> Result<u8> {}
            ),
            "comes first",
        ),
        (
            quote!(
                async fn count(&self, cx: &Context, d: &Context) -> Result<u8> {}
            ),
            "is enough",
        ),
        (
            quote!(
                async fn count(&self, cx: Context) -> Result<u8> {}
            ),
            "write `&Context`",
        ),
        (
            quote!(
                async fn count(&self, cx: &mut Context) -> Result<u8> {}
            ),
            "write `&Context`",
        ),
        (
            quote!(
                async fn count(&self) {}
            ),
            "write `-> Result<()>`",
        ),
        (
            quote!(
                async fn count(&self) -> Vec<u8> {}
            ),
            "write `-> Result<Vec<u8>>`",
        ),
        (
            quote!(
                async fn count(&self) -> fmt::Result {}
            ),
            "as in `Result<()>`",
        ),
        (
            quote!(
                async fn count(&self) -> Result<&str> {}
            ),
            "write `String`",
        ),
        (
            quote!(
                async fn count(&self) -> Result<impl Iterator> {}
            ),
            "`Stream<T>`",
        ),
        (
            quote!(
                #[cfg(unix)]
                async fn count(&self) -> Result<u8> {}
            ),
            "remove the `#[cfg]`",
        ),
        (
            quote!(
                #[method(idempotent)]
                #[method(timeout = "1s")]
                async fn count(&self) -> Result<u8> {}
            ),
            "into the first",
        ),
        (
            quote!(
                #[method(placement = key(id))]
                async fn count(&self, user: u8) -> Result<u8> {}
            ),
            "it has `user`",
        ),
        (
            quote!(
                #[method(placement = every)]
                async fn count(&self, all: Stream<u8>) -> Result<u8> {}
            ),
            "only one node",
        ),
        (
            quote!(
                #[method(placement = key(all))]
                async fn count(&self, all: Stream<u8>) -> Result<u8> {}
            ),
            "another argument",
        ),
        (
            quote!(
                #[method(init = open)]
                async fn count(&self) -> Result<u8> {}
            ),
            "to the whole service",
        ),
    ] {
        let complaint = complaint_about(method.clone());
        assert!(complaint.contains(advice), "{method}: {complaint}");
    }
}

#[test]
fn complaints_about_several_methods_come_together() {
    let (checked, complaints) = check_impl(
        quote!(version = 0),
        parse_quote! {
            impl WordCount {
                async fn good(&self) -> Result<u8> { Ok(1) }
                async fn borrowed(&self, cx: &Context, text: &str, n: u8) -> Result<u16> { Ok(1) }
                async fn bare(&self) -> u32 { 1 }
            }
        },
    );

    assert_eq!(complaints.len(), 3);
    let checked = checked.unwrap();
    assert_eq!(checked.interface.methods.len(), 1);
    let [borrowed, bare] = checked.broken.as_slice() else {
        panic!("two broken methods")
    };
    assert_eq!(
        (borrowed.arity, types::display(&borrowed.output)),
        (2, "u16".into())
    );
    assert_eq!(
        (bare.arity, types::display(&bare.output)),
        (0, "u32".into())
    );
}

#[test]
fn two_methods_of_one_name_on_the_wire_are_refused() {
    let (_, complaints) = check_impl(
        quote!(),
        parse_quote! {
            impl WordCount {
                async fn count(&self) -> Result<u8> { Ok(1) }
                #[method(name = "count")]
                async fn count_words(&self) -> Result<u8> { Ok(1) }
            }
        },
    );

    assert!(complaints.len() == 1 && complaints[0].contains("name one otherwise"));
}

#[test]
fn mistakes_of_the_block_are_told_once() {
    let method = quote!(
        async fn count(&self) -> Result<u8> {
            Ok(1)
        }
    );
    for (item, advice) in [
        (
            parse_quote!(impl<T> WordCount<T> { #method }),
            "one concrete type",
        ),
        (parse_quote!(impl [u8] { #method }), "the name of a type"),
        (
            parse_quote!(unsafe impl WordCount { #method }),
            "remove `unsafe`",
        ),
        (
            parse_quote!(#[async_trait::async_trait] impl WordCount { #method }),
            "remove this",
        ),
        (
            parse_quote!(impl WordCount { const N: u8 = 1; #method }),
            "move constants",
        ),
        (parse_quote!(impl WordCount {}), "at least one method"),
        (parse_quote!(impl Größe { #method }), "write one, as in"),
    ] {
        let (_, complaints) = check_impl(quote!(), item);
        assert!(
            complaints.len() == 1 && complaints[0].contains(advice),
            "{complaints:?}"
        );
    }
    let (_, complaints) = check_impl(
        quote!(register = false, init = open),
        parse_quote!(impl W { #method }),
    );
    assert!(complaints.len() == 1 && complaints[0].contains("remove one of the two"));
}

#[test]
fn mistakes_of_an_interface_are_told_once() {
    let method = quote!(
        async fn count(&self) -> Result<u8>;
    );
    for (item, advice) in [
        (
            parse_quote!(trait Count<T> { #method }),
            "one interface for each",
        ),
        (
            parse_quote!(unsafe trait Count { #method }),
            "remove `unsafe`",
        ),
        (
            parse_quote!(trait Count { type Item; #method }),
            "move types out",
        ),
        (
            parse_quote!(trait Count { const N: u8; #method }),
            "move constants out",
        ),
        (
            parse_quote!(
                trait Count {
                    async fn count(&self, n: Self) -> Result<u8>;
                }
            ),
            "name a type",
        ),
        (
            parse_quote!(
                trait Count {
                    fn helper();
                }
            ),
            "to a trait of their own",
        ),
    ] {
        let (_, complaints) = check_trait(quote!(), item);
        assert!(
            complaints.len() == 1 && complaints[0].contains(advice),
            "{complaints:?}"
        );
    }
}

#[test]
fn an_implementation_of_an_interface_has_no_interface_options() {
    let mut complaints = Complaints::default();
    let settings =
        parse::options::of_tokens(quote!(version = 2, init = Fast::open), &mut complaints);
    let attribute: Attribute = parse_quote!(#[method(idempotent)]);
    let mut item: ItemImpl = parse_quote!(impl api::Count for Fast {});

    let checked =
        trait_implementation(&settings, &mut item, &[attribute], &mut complaints).unwrap();

    assert!(matches!(checked.host.start, Start::Init(_)));
    let messages = complaints.messages();
    assert_eq!(messages.len(), 2);
    assert!(messages[0].contains("on the trait"), "{messages:?}");
    assert!(messages[1].contains("in `trait Count`"), "{messages:?}");
}
