//! Three nodes in processes of their own, and others that call them.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{fs, path::Path};

use tokio::io::{AsyncBufReadExt, BufReader};

mod support;

use support::{Cloud, DEADLINE, finish, finished, program};

const KEY: &str = "6a1f6a1f6a1f6a1f6a1f6a1f6a1f6a1f6a1f6a1f6a1f6a1f6a1f6a1f6a1f6a1f";

fn asset(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("assets")
        .join(name);
    path.to_str().unwrap().to_owned()
}

/// Bytes that no compression makes shorter.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(next).collect()
}

/// The files in `folder`, without folders.
fn files_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    files
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

#[tokio::test]
async fn a_fourth_process_hides_and_reveals_with_addresses_from_file_environment_and_flags() {
    let cloud = Cloud::start().await;
    let (folder, client) = (cloud.folder.path(), cloud.client());
    let (cover, payload) = (asset("coffee.png"), asset("cat.jpg"));

    let arguments = ["capacity", "--config", &client, "--cover", &cover, "--json"];
    let capacity = finish(program(folder, arguments)).await.json();
    assert_eq!(
        (&capacity["width"], &capacity["height"]),
        (&600.into(), &400.into())
    );
    let room = capacity["payload"].as_u64().unwrap();
    assert!(room > fs::metadata(&payload).unwrap().len(), "{capacity}");

    let mut hide = program(
        folder,
        [
            "hide",
            "--cover",
            &cover,
            "--payload",
            &payload,
            "--out",
            "stego.png",
            "--json",
        ],
    );
    hide.args(["--new-key", "key.hex", "--label", "a cat, for you"]);
    hide.env("DISTRI_CLOUD__NODES", cloud.endpoints.join(","));
    let hidden = finish(hide).await.json();
    let names = ["node-1", "node-2", "node-3"];
    assert!(
        names.contains(&hidden["node"]["name"].as_str().unwrap()),
        "{hidden}"
    );
    assert!(hidden["psnr"].as_f64().unwrap() > 48.0, "{hidden}");

    let mut reveal = program(
        folder,
        [
            "reveal",
            "--image",
            "stego.png",
            "--out",
            "cat.jpg",
            "--key",
            "@key.hex",
            "--json",
        ],
    );
    for node in &cloud.endpoints {
        reveal.args(["--node", node]);
    }
    let found = finish(reveal).await.json();
    assert_eq!(found["label"], "a cat, for you");
    assert!(fs::read(cloud.path("cat.jpg")).unwrap() == fs::read(&payload).unwrap());
}

#[tokio::test]
async fn a_file_over_three_images_comes_back_from_any_two() {
    let cloud = Cloud::start().await;
    let (folder, client) = (cloud.folder.path(), cloud.client());
    let (cover, payload) = (asset("coffee.png"), asset("cat.jpg"));
    let hide = |outs: &[&str]| {
        let mut hide = program(folder, ["hide", "--config", &client, "--needed", "2"]);
        hide.args(["--payload", &payload]).env("STEGO_KEY", KEY);
        for out in outs {
            hide.args(["--cover", &cover, "--out", out]);
        }
        hide
    };
    let reveal = |images: &[&str]| {
        let mut reveal = program(folder, ["reveal", "--config", &client, "--out", "cat.jpg"]);
        reveal.env("STEGO_KEY", KEY);
        for image in images {
            reveal.args(["--image", image]);
        }
        reveal
    };

    let twice = finish(hide(&["1.png", "1.png", "3.png"])).await;
    let hidden = finish(hide(&["1.png", "2.png", "3.png"])).await;
    let alone = finish(reveal(&["2.png"])).await;
    let two = finish(reveal(&["3.png", "1.png"])).await;

    assert_eq!(twice.code, Some(2), "{twice:?}");
    assert_eq!(hidden.code, Some(0), "{hidden:?}");
    assert_eq!(alone.code, Some(1), "{alone:?}");
    assert!(alone.stderr.contains("1 of the 3 parts"), "{alone:?}");
    assert_eq!(two.code, Some(0), "{two:?}");
    assert!(fs::read(cloud.path("cat.jpg")).unwrap() == fs::read(&payload).unwrap());
}

#[tokio::test]
async fn what_fails_says_why_and_leaves_no_file() {
    let cloud = Cloud::start().await;
    let (folder, client) = (cloud.folder.path(), cloud.client());
    let (cover, payload) = (asset("coffee.png"), asset("cat.jpg"));
    fs::write(cloud.path("large"), noise(200_000)).unwrap();
    let hide = |payload: &str| {
        let arguments = [
            "hide",
            "--config",
            &client,
            "--cover",
            &cover,
            "--payload",
            payload,
        ];
        let mut hide = program(folder, arguments);
        hide.args(["--out", "stego.png"]).env("STEGO_KEY", KEY);
        hide
    };

    let refused = finish(hide("large")).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("200000 bytes do not fit"),
        "{refused:?}"
    );
    assert!(refused.stderr.contains("--scale-cover"), "{refused:?}");
    assert_eq!(files_in(folder), ["large"]);

    let mut scaled = hide("large");
    scaled.args(["--scale-cover", "--json"]);
    let scaled = finish(scaled).await.json();
    assert!(scaled["width"].as_u64().unwrap() > 600, "{scaled}");

    fs::remove_file(cloud.path("stego.png")).unwrap();
    let hidden = finish(hide(&payload)).await;
    assert_eq!(hidden.code, Some(0), "{hidden:?}");
    let arguments = [
        "reveal",
        "--config",
        &client,
        "--image",
        "stego.png",
        "--out",
        "cat.jpg",
    ];
    let mut reveal = program(folder, arguments);
    reveal.env("STEGO_PASSPHRASE", "not the key");
    let refused = finish(reveal).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("key"), "{refused:?}");
    let mut files = files_in(folder);
    files.sort();
    assert_eq!(files, ["large", "stego.png"]);
}

#[tokio::test]
async fn a_jpeg_whose_image_is_named_so_stays_one_and_advice_about_it_is_true() {
    let cloud = Cloud::start().await;
    let (folder, client) = (cloud.folder.path(), cloud.client());
    // A photograph that says where it was taken.
    let place = b"Rosengasse 5";
    let photograph = fs::read(asset("cat.jpg")).unwrap();
    let comment = [b"\xFF\xFE\0\x0E", &place[..]].concat();
    let cover = [&photograph[..20], &comment, &photograph[20..]].concat();
    fs::write(cloud.path("cover.jpg"), &cover).unwrap();
    fs::write(cloud.path("payload"), b"meet at six").unwrap();
    fs::write(cloud.path("large"), noise(50_000)).unwrap();
    let coffee = asset("coffee.png");
    let hide = |cover: &str, payload: &str, out: &str, more: &[&str]| {
        let arguments = ["hide", "--config", &client, "--cover", cover, "--out", out];
        let mut hide = program(folder, arguments);
        hide.args(["--payload", payload])
            .env("STEGO_KEY", KEY)
            .args(more);
        finish(hide)
    };
    let holds_place = |name: &str| {
        let file = fs::read(cloud.path(name)).unwrap();
        file.windows(place.len()).any(|bytes| bytes == place)
    };

    let stayed = hide("cover.jpg", "payload", "stego.jpg", &["--json"])
        .await
        .json();
    let kept = hide("cover.jpg", "payload", "kept.jpg", &["--metadata", "keep"]).await;
    let resampled = hide("cover.jpg", "payload", "stego.png", &["--json"])
        .await
        .json();
    let refused = hide("cover.jpg", "large", "large.jpg", &[]).await;
    let misnamed = hide(&coffee, "payload", "coffee.jpg", &[]).await;

    assert_eq!(stayed["format"], "jpeg", "{stayed}");
    assert!(
        fs::read(cloud.path("stego.jpg"))
            .unwrap()
            .starts_with(b"\xFF\xD8\xFF")
    );
    assert!(!holds_place("stego.jpg"));
    assert_eq!(kept.code, Some(0), "{kept:?}");
    assert!(
        holds_place("kept.jpg") && kept.stdout.contains("where it was taken"),
        "{kept:?}"
    );
    assert_eq!(resampled["format"], "png", "{resampled}");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("50000 bytes do not fit"),
        "{refused:?}"
    );
    assert!(refused.stderr.contains("larger JPEG"), "{refused:?}");
    assert!(!refused.stderr.contains("--scale-cover"), "{refused:?}");
    assert_eq!(misnamed.code, Some(2), "{misnamed:?}");
    assert!(
        misnamed.stderr.contains("let it end in .png"),
        "{misnamed:?}"
    );
    for image in ["stego.jpg", "kept.jpg", "stego.png"] {
        let arguments = [
            "reveal", "--config", &client, "--image", image, "--out", "revealed",
        ];
        let mut reveal = program(folder, arguments);
        let revealed = finish({
            reveal.env("STEGO_KEY", KEY);
            reveal
        })
        .await;
        assert_eq!(revealed.code, Some(0), "{image}: {revealed:?}");
        assert_eq!(fs::read(cloud.path("revealed")).unwrap(), b"meet at six");
    }
    assert!(!cloud.path("large.jpg").exists() && !cloud.path("coffee.jpg").exists());
}

#[tokio::test]
async fn a_passphrase_comes_from_a_file_or_stdin_and_never_from_nowhere() {
    let cloud = Cloud::start().await;
    let (folder, client) = (cloud.folder.path(), cloud.client());
    let (cover, payload) = (asset("coffee.png"), asset("cat.jpg"));
    fs::write(cloud.path("phrase"), "correct horse\n").unwrap();

    let arguments = [
        "hide",
        "--config",
        &client,
        "--cover",
        &cover,
        "--payload",
        &payload,
    ];
    let mut hide = program(folder, arguments);
    hide.args(["--out", "stego.png", "--passphrase-file", "phrase"]);
    let hidden = finish(hide).await;
    assert_eq!(hidden.code, Some(0), "{hidden:?}");

    let arguments = [
        "reveal",
        "--config",
        &client,
        "--image",
        "stego.png",
        "--out",
        "cat.jpg",
    ];
    let refused = finish(program(folder, arguments)).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("no key is given"), "{refused:?}");

    let mut reveal = program(folder, arguments);
    let phrase = fs::File::open(cloud.path("phrase")).unwrap();
    reveal.args(["--passphrase-file", "-"]).stdin(phrase);
    let revealed = finish(reveal).await;
    assert_eq!(revealed.code, Some(0), "{revealed:?}");
    assert!(fs::read(cloud.path("cat.jpg")).unwrap() == fs::read(&payload).unwrap());
}

#[tokio::test]
async fn a_node_that_is_killed_during_a_load_costs_no_call() {
    let mut cloud = Cloud::start().await;
    let client = cloud.client();
    let arguments = [
        "load",
        "--config",
        &client,
        "--clients",
        "5",
        "--images",
        "12",
        "--json",
    ];
    let mut load = program(cloud.folder.path(), arguments).spawn().unwrap();
    let mut told = BufReader::new(load.stderr.take().unwrap()).lines();
    // Each tenth of the work is told; after the third, all nodes are in the middle of it.
    let third = async {
        while let Some(line) = told.next_line().await.unwrap() {
            if line.starts_with("36 of 120") {
                return true;
            }
        }
        false
    };
    assert!(
        tokio::time::timeout(DEADLINE, third)
            .await
            .expect("gets that far in time")
    );

    cloud.kill(1).await;
    let rest = tokio::spawn(async move { while let Ok(Some(_)) = told.next_line().await {} });
    let load = finished(load).await;
    rest.await.unwrap();

    let result = load.json();
    assert_eq!(result["failed"], 0, "{result}");
    assert_eq!(result["images"], 60, "{result}");
    assert_eq!(result["failures"], serde_json::json!([]), "{result}");
    let nodes = result["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 3, "{result}");
    let calls = |name: &str| {
        let node = nodes.iter().find(|node| node["name"] == name).unwrap();
        node["calls"].as_u64().unwrap()
    };
    assert!(
        calls("node-1") > calls("node-2") && calls("node-3") > calls("node-2"),
        "{result}"
    );
    assert_eq!(
        calls("node-1") + calls("node-2") + calls("node-3"),
        120,
        "{result}"
    );
}

#[tokio::test]
async fn a_load_that_no_node_serves_fails_and_says_why() {
    let folder = tempfile::tempdir().unwrap();

    let refused = finish(program(folder.path(), ["load", "--images", "1"])).await;

    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stderr.contains("no node is known"), "{refused:?}");
}
