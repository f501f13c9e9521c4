//! Prints what a check learns of an image, as it is kept in the cache: `image_facts (FILE | FOLDER)`.

use dunnage_device_plugin::check::facts_of;
use dunnage_device_plugin::check::image::Source;
use std::path::PathBuf;

fn main() -> anyhow::Result<()> {
    let path = PathBuf::from(std::env::args().nth(1).unwrap_or_default());
    let source = if path.join("index.json").is_file() {
        Source::Layout(path)
    } else if path.is_dir() {
        Source::RootFs(path)
    } else {
        Source::Archive(path)
    };
    let facts = facts_of(&source, None)?;
    println!("{}", serde_json::to_string_pretty(&facts)?);
    Ok(())
}
