//! Names of users that generated code must not trip over.

use distri::Context;

use crate::support::serve;

/// Every name that generated code uses itself, as an argument.
#[derive(Default)]
struct Names;

#[distri::service(register = false)]
impl Names {
    #[allow(clippy::too_many_arguments, reason = "that is the test")]
    #[method(placement = key(key))]
    async fn all(
        &self,
        context: &Context,
        self_: u8,
        request: u8,
        cx: u8,
        client: u8,
        value: u8,
        text: u8,
        key: u8,
        arguments: u8,
        result: u8,
        service: u8,
        list: u8,
        config: u8,
        node: u8,
        r#type: u8,
        r#async: u8,
        __descriptor: u8,
    ) -> distri::Result<Vec<u8>> {
        context.check()?;
        Ok(vec![
            self_,
            request,
            cx,
            client,
            value,
            text,
            key,
            arguments,
            result,
            service,
            list,
            config,
            node,
            r#type,
            r#async,
            __descriptor,
        ])
    }

    async fn r#match(&self, r#fn: u8) -> distri::Result<u8> {
        Ok(r#fn)
    }

    async fn call(&self) -> distri::Result<u8> {
        Ok(2)
    }

    async fn clone(&self) -> distri::Result<u8> {
        Ok(3)
    }

    async fn health(&self) -> distri::Result<u8> {
        Ok(4)
    }
}

#[tokio::test]
async fn arguments_and_methods_may_have_any_name() {
    let (_node, client) = serve(|node| node.service(Names)).await;
    let names = NamesClient::new(client);

    let all = names
        .all(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
        .await
        .unwrap();

    assert_eq!(all, (1..=16).collect::<Vec<_>>());
    assert_eq!(names.r#match(1).await.unwrap(), 1);
    assert_eq!(names.call().await.unwrap(), 2);
    assert_eq!(names.clone().await.unwrap(), 3);
    assert_eq!(names.health().await.unwrap(), 4);
    let descriptor = NamesClient::descriptor();
    assert_eq!(descriptor.methods[1].name, "match");
    assert!(
        descriptor.methods[0].arguments["properties"]
            .get("async")
            .is_some()
    );
}

/// A module in which the names of the prelude mean other things.
#[allow(dead_code, reason = "the names are what counts")]
mod shadowed {
    pub(super) struct Result;
    pub(super) struct Option;
    pub(super) struct Vec;
    pub(super) struct String;
    pub(super) struct Box;
    pub(super) struct Ok;
    pub(super) struct Err;
    pub(super) struct Some;
    pub(super) struct None;
    pub(super) struct M;
    pub(super) struct S;
    pub(super) struct Client;
    pub(super) struct Error;
    pub(super) trait Into {}
    pub(super) trait From {}
    pub(super) trait Send {}
    pub(super) trait Sync {}
    pub(super) trait Sized {}
    pub(super) trait Future {}
    pub(super) trait Service {}
    pub(super) trait Default {}
    pub(super) mod std {}
    pub(super) mod core {}
    pub(super) mod serde {}
    pub(super) mod distri {}

    #[::distri::message]
    #[derive(Debug, PartialEq)]
    pub(super) struct Request {
        pub(super) inner: ::std::option::Option<::std::vec::Vec<u8>>,
    }

    #[derive(Debug, PartialEq)]
    #[::distri::message]
    pub(super) enum Reply {
        One,
        Two(u8),
    }

    pub(super) struct Shadowed;

    #[::distri::service(init = Self::descriptor)]
    impl Shadowed {
        #[method(idempotent, placement = key(request), access = role("x"), timeout = "1s")]
        async fn run(&self, request: Request) -> ::distri::Result<Reply> {
            match request.inner {
                ::std::option::Option::Some(_) => ::std::result::Result::Ok(Reply::Two(2)),
                ::std::option::Option::None => ::std::result::Result::Ok(Reply::One),
            }
        }
    }

    impl Shadowed {
        async fn descriptor(_: &::distri::NodeHandle, (): ()) -> ::distri::Result<Self> {
            ::std::result::Result::Ok(Self)
        }
    }

    #[::distri::service]
    pub(super) trait Shadow {
        async fn run(&self, request: Request) -> ::distri::Result<Reply>;
        async fn provided(&self) -> ::distri::Result<Reply> {
            ::std::result::Result::Ok(Reply::One)
        }
    }

    #[::distri::service(register = false)]
    impl Shadow for Shadowed2 {
        async fn run(&self, request: Request) -> ::distri::Result<Reply> {
            let _ = request;
            ::std::result::Result::Ok(Reply::One)
        }
    }

    pub(super) struct Shadowed2;
}

#[tokio::test]
async fn generated_code_does_not_depend_on_what_names_mean_where_it_stands() {
    let (_node, client) = serve(|node| node.service(shadowed::Shadowed2)).await;
    let shadow = shadowed::ShadowClient::new(client);

    let reply = shadow.run(shadowed::Request { inner: None }).await.unwrap();

    assert_eq!(reply, shadowed::Reply::One);
    assert_eq!(shadow.provided().await.unwrap(), shadowed::Reply::One);
    assert_eq!(shadowed::ShadowedClient::descriptor().name, "shadowed");
}

/// A macro of the user's that writes a service: the names come from two places.
macro_rules! service {
    ($name:ident, $argument:ident, $ty:ty) => {
        #[derive(Default)]
        struct $name;

        #[distri::service(register = false)]
        impl $name {
            async fn echo(&self, $argument: $ty, other: $ty) -> distri::Result<$ty> {
                let _ = other;
                Ok($argument)
            }
        }
    };
}

service!(ByMacro, value, Vec<u8>);

#[tokio::test]
async fn a_service_may_come_from_a_macro() {
    let (_node, client) = serve(|node| node.service(ByMacro)).await;

    assert_eq!(
        ByMacroClient::new(client)
            .echo(vec![1], vec![])
            .await
            .unwrap(),
        [1]
    );
}
