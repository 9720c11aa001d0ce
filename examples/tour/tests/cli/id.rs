//! Keys: made when asked, kept, and kept secret.

use std::fs;

use crate::program;

#[test]
fn a_key_is_made_only_when_asked_and_never_overwritten() {
    let program = program();

    let missing = program.run(&["id"]);
    let made = program.ok(&["id", "--create"]);
    let again = program.ok(&["id", "--create"]);
    let new = program.ok(&["id", "--new", "other.key"]);
    let taken = program.run(&["id", "--new", "other.key"]);

    assert_eq!(missing.exit, 2);
    assert!(
        missing.stderr.contains("id --create` makes one"),
        "{}",
        missing.stderr
    );
    assert_eq!(made.len(), 52);
    assert_eq!(made, again);
    assert_ne!(made, new);
    assert_eq!(taken.exit, 2);
    assert!(
        taken.stderr.contains("never overwritten"),
        "{}",
        taken.stderr
    );
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_remedy() {
    use std::os::unix::fs::PermissionsExt;
    let program = program();
    program.ok(&["id", "--create"]);
    fs::set_permissions(program.path("node.key"), fs::Permissions::from_mode(0o644)).unwrap();

    for arguments in [
        &["id"][..],
        &["config", "check"],
        &["node", "--listen", "127.0.0.1:0"],
    ] {
        let outcome = program.run(arguments);

        assert_eq!(outcome.exit, 2, "{arguments:?}: {}", outcome.stderr);
        assert!(
            outcome.stderr.contains("chmod 600 node.key"),
            "{}",
            outcome.stderr
        );
    }
}

#[test]
fn a_cloud_is_not_written_over_another() {
    let program = program();
    program.ok(&["new-cloud", "cloud", "--nodes", "1"]);
    let before = fs::read(program.path("cloud/node-1/node.key")).unwrap();

    let again = program.run(&["new-cloud", "cloud"]);

    assert_eq!(again.exit, 2);
    assert!(
        again.stderr.contains("nothing is overwritten"),
        "{}",
        again.stderr
    );
    assert_eq!(
        fs::read(program.path("cloud/node-1/node.key")).unwrap(),
        before
    );
    assert!(!program.path("cloud/node-2").exists());
}
