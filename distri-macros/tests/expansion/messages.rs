//! `#[distri::message]` on what people write, through each codec.

use std::{collections::BTreeMap, fmt};

use distri::message::{Codec, Message};

fn survives<T>(value: &T)
where
    T: distri::__private::serde::Serialize
        + distri::__private::serde::de::DeserializeOwned
        + PartialEq
        + fmt::Debug,
{
    for codec in [Codec::Compact, Codec::MESSAGE_PACK, Codec::JSON] {
        let message = Message::encode(codec, value).expect("the codec has all of serde's types");
        assert_eq!(
            message.decode::<T>(codec).as_ref().ok(),
            Some(value),
            "{codec:?}"
        );
    }
}

#[distri::message]
#[derive(Clone, PartialEq, Debug)]
#[serde(rename_all = "kebab-case")]
struct Everything<T> {
    first_name: String,
    r#type: Option<u8>,
    more: Vec<T>,
    #[serde(default)]
    nick_names: Vec<String>,
    #[serde(skip)]
    cache: u32,
    map: BTreeMap<String, (i64, char)>,
}

#[distri::message]
#[derive(Clone, PartialEq, Debug)]
enum Shape {
    Dot,
    Circle(f32),
    Rectangle { width: u32, height: u32 },
}

#[distri::message]
#[derive(Clone, PartialEq, Debug)]
struct Newtype(u64);

#[distri::message]
#[derive(Clone, PartialEq, Debug)]
struct Unit;

/// The derives of the user stand above or below.
#[derive(Clone, PartialEq, Debug)]
#[distri::message]
#[serde(transparent)]
struct Above {
    inner: Newtype,
}

#[test]
fn types_survive_each_codec() {
    let map = BTreeMap::from([("a".to_owned(), (-1, 'x'))]);
    let more = vec![
        Shape::Dot,
        Shape::Circle(1.5),
        Shape::Rectangle {
            width: 1,
            height: 2,
        },
    ];
    survives(&Everything {
        first_name: "Ann".into(),
        r#type: Some(3),
        more,
        nick_names: vec![],
        cache: 0,
        map,
    });
    survives(&Newtype(7));
    survives(&Unit);
    survives(&Above { inner: Newtype(8) });
}

#[test]
fn doc_comments_and_renames_are_in_the_schema() {
    #[distri::message]
    #[serde(rename_all = "camelCase")]
    struct Size {
        /// In pixels.
        pixel_width: u32,
    }

    let schema = distri::__private::schemars::schema_for!(Size).to_value();

    let width = &schema["properties"]["pixelWidth"];
    assert_eq!(width["description"], "In pixels.");
    assert_eq!(width["type"], "integer");
}
