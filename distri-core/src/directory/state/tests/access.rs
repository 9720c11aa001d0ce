//! Who may do what.

use super::support::*;
use crate::directory::{Actor, CollectionSpec, Command, Filter, Operation, Query, Refusal, Who};

fn may_read(directory: &Directory, actor: &Actor) -> bool {
    directory.state.get(actor, "things", "a").is_ok()
}

fn may_write(directory: &mut Directory, actor: &Actor) -> bool {
    directory.run_as(actor, transact([put("b", "1")])).is_ok()
}

#[test]
fn collections_are_open_to_whom_they_say() {
    let member = with_roles(2, &["member"]);
    let actors = [Actor::Node, member, client(1), stranger(3)];
    for (who, open_to) in [
        (Who::Public, [true, true, true, true]),
        (Who::Authenticated, [true, true, true, false]),
        (Who::Role("member".into()), [true, true, false, false]),
        (Who::Node, [true, false, false, false]),
    ] {
        let readers = CollectionSpec::new("things")
            .read(who.clone())
            .write(Who::Node);
        let writers = CollectionSpec::new("things")
            .write(who.clone())
            .read(Who::Node);
        for (actor, open) in actors.iter().zip(open_to) {
            let mut written = Directory::with(writers.clone());

            assert_eq!(
                may_read(&Directory::with(readers.clone()), actor),
                open,
                "{who:?}"
            );
            assert_eq!(may_write(&mut written, actor), open, "{who:?} {actor:?}");
        }
    }
}

#[test]
fn a_refusal_tells_who_may() {
    let mut directory =
        Directory::with(CollectionSpec::new("things").write(Who::Role("cook".into())));

    let refused = directory
        .run_as(&client(1), transact([put("a", "1")]))
        .unwrap_err();

    let text = refused.to_string();
    let expected = format!(
        "{} may not write `things`: it is open to keys with the role `cook`",
        key(1)
    );
    assert_eq!(text, expected);
}

#[test]
fn owners_change_and_see_only_what_is_theirs() {
    let spec = CollectionSpec::new("things")
        .read(Who::Owner)
        .write(Who::Owner);
    let mut directory = Directory::with(spec);
    let (alice, bob) = (client(1), client(2));
    directory
        .run_as(&alice, transact([insert("a", "1")]))
        .unwrap();
    directory
        .run_as(&bob, transact([insert("b", "1")]))
        .unwrap();
    directory.run(transact([insert("n", "1")])).unwrap();

    let seen = |id| directory.state.get(&alice, "things", id).unwrap();
    assert_eq!(seen("a").unwrap().owner, Some(key(1)));
    assert_eq!((seen("b"), seen("n")), (None, None));
    let view = directory.state.view("things").unwrap();
    let found = view.find(&bob, &Query::new("things")).unwrap();
    assert_eq!(found.documents.len(), 1);
    assert_eq!(view.count(&bob, &Filter::All), Ok(1));
    assert_eq!(view.count(&Actor::Node, &Filter::All), Ok(3));
    let events = directory
        .state
        .events_after(&bob, "things", 0, None, 1000)
        .unwrap();
    assert_eq!(events.events.len(), 1);

    for operation in [
        put("b", "2"),
        delete("b"),
        merge("b", "{}"),
        delete("n"),
        put("n", "2"),
    ] {
        let refused = directory.run_as(&alice, transact([operation]));
        assert!(
            matches!(
                refused,
                Err(Refusal::Denied { .. } | Refusal::Missing { .. })
            ),
            "{refused:?}"
        );
    }
    assert!(directory.run_as(&alice, transact([put("a", "2")])).is_ok());
    assert!(
        directory
            .run_as(&with_roles(3, &["admin"]), transact([delete("b")]))
            .is_ok()
    );
    assert!(matches!(
        directory.run_as(&stranger(4), transact([insert("s", "1")])),
        Err(Refusal::Denied { .. })
    ));
    assert_eq!(directory.run(transact([put("a", "3")])).map(|_| ()), Ok(()));
    assert_eq!(
        directory.get("a").unwrap().owner,
        Some(key(1)),
        "a node's put changes no owner"
    );
}

#[test]
fn whoever_may_write_but_not_read_is_not_told_what_is_there() {
    let mut directory = Directory::with(CollectionSpec::new("things").read(Who::Node));
    directory
        .run(transact([put("a", r#"{"secret":1}"#)]))
        .unwrap();

    for operation in [merge("a", "{}"), add("a", "n", "1")] {
        let refused = directory.run_as(&client(1), transact([operation]));

        assert!(matches!(refused, Err(Refusal::Denied { verb, .. }) if verb == "read"));
    }
}

#[test]
fn only_admins_and_nodes_administer_and_only_nodes_what_is_internal() {
    let mut directory = Directory::of_things();
    let admin = with_roles(1, &["admin"]);
    let create = |name: &str| Command::CreateCollection(CollectionSpec::new(name));
    let drop = |name: &str| Command::DropCollection { name: name.into() };
    let is_denied = |verdict| matches!(verdict, Err(Refusal::Denied { .. }));

    assert!(is_denied(directory.run_as(&client(2), create("more"))));
    assert!(is_denied(directory.run_as(&client(2), drop("things"))));
    assert!(is_denied(directory.run_as(&admin, create("_own"))));
    assert!(directory.run_as(&admin, create("more")).is_ok());
    assert!(directory.run_as(&admin, drop("more")).is_ok());
    let open = CollectionSpec::new("_own")
        .read(Who::Public)
        .write(Who::Public);
    directory.run(Command::CreateCollection(open)).unwrap();
    let write = transact([Operation::Put {
        collection: "_own".into(),
        id: "a".into(),
        value: json("1"),
        lease: None,
    }]);
    assert!(is_denied(directory.run_as(&admin, write.clone())));
    assert!(directory.state.get(&admin, "_own", "a").is_err());
    assert!(is_denied(directory.run_as(&admin, drop("_own"))));
    assert!(directory.run(write).is_ok());
}
