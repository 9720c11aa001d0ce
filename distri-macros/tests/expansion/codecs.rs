//! One method, three codecs: compact between equals, MessagePack between versions, JSON by name.

use std::collections::BTreeMap;

use distri::Code;

use crate::support::serve;

mod older {
    use distri::Result;

    #[distri::message]
    pub(crate) struct Person {
        pub(crate) name: String,
    }

    #[derive(Default)]
    pub(crate) struct Greeter;

    #[distri::service(register = false)]
    impl Greeter {
        /// Greets.
        async fn greet(&self, person: Person, times: u32) -> Result<String> {
            Ok(person.name.repeat(times as usize))
        }
    }
}

mod newer {
    use distri::Result;

    #[distri::message]
    pub(crate) struct Person {
        #[serde(default)]
        pub(crate) title: Option<String>,
        pub(crate) name: String,
    }

    #[derive(Default)]
    pub(crate) struct Greeter;

    #[distri::service(register = false, version = 2)]
    impl Greeter {
        async fn greet(&self, shout: Option<bool>, times: u32, person: Person) -> Result<String> {
            let title = person.title.unwrap_or_default();
            let mark = if shout.unwrap_or(false) { "!" } else { "." };
            Ok(title + &person.name.repeat(times as usize) + mark)
        }
    }
}

mod incompatible {
    use distri::Result;

    #[derive(Default)]
    pub(crate) struct Greeter;

    #[distri::service(register = false)]
    impl Greeter {
        async fn greet(&self, person: u32, times: u32) -> Result<String> {
            Ok((person * times).to_string())
        }
    }
}

fn ann() -> older::Person {
    older::Person { name: "Ann".into() }
}

fn new_ann() -> newer::Person {
    newer::Person {
        title: Some("Dr ".into()),
        name: "Ann".into(),
    }
}

#[tokio::test]
async fn equal_programs_understand_each_other() {
    let (_node, client) = serve(|node| node.service(older::Greeter)).await;

    let greeting = older::GreeterClient::new(client)
        .greet(ann(), 2)
        .await
        .unwrap();

    assert_eq!(greeting, "AnnAnn");
}

#[tokio::test]
async fn an_older_caller_leaves_out_what_is_optional_to_a_newer_node() {
    let (_node, client) = serve(|node| node.service(newer::Greeter)).await;

    let greeting = older::GreeterClient::new(client)
        .greet(ann(), 2)
        .await
        .unwrap();

    assert_eq!(greeting, "AnnAnn.");
}

#[tokio::test]
async fn an_older_node_ignores_what_a_newer_caller_adds() {
    let (_node, client) = serve(|node| node.service(older::Greeter)).await;
    let greeter = newer::GreeterClient::new(client);

    let greeting = greeter.greet(Some(true), 2, new_ann()).await.unwrap();

    assert_eq!(greeting, "AnnAnn");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_naming_the_argument() {
    let (_node, client) = serve(|node| node.service(incompatible::Greeter)).await;

    let error = older::GreeterClient::new(client)
        .greet(ann(), 2)
        .await
        .unwrap_err();

    assert_eq!(error.code(), Code::Incompatible);
    assert!(error.to_string().contains("person"), "{error}");
}

#[tokio::test]
async fn a_call_by_name_takes_an_object_of_the_arguments() {
    let (_node, client) = serve(|node| node.service(older::Greeter)).await;
    #[distri::message]
    struct Arguments {
        times: u32,
        person: older::Person,
    }

    let arguments = Arguments {
        times: 3,
        person: ann(),
    };
    let reply = client
        .call_json("greeter", "greet", arguments)
        .await
        .unwrap();

    assert_eq!(reply.value, "AnnAnnAnn");
}

#[tokio::test]
async fn a_call_by_name_with_wrong_arguments_is_told_which_are_expected() {
    let (_node, client) = serve(|node| node.service(older::Greeter)).await;

    let missing = BTreeMap::from([("times", 3)]);
    let error = client
        .call_json("greeter", "greet", missing)
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(
        error.to_string().contains("missing field `person`"),
        "{error}"
    );

    let error = client
        .call_json("greeter", "greet", "Ann")
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let expected = "expected the arguments `person` and `times` of `greet`";
    assert!(error.to_string().contains(expected), "{error}");
}
