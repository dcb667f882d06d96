//! Filters as OCI images, in the OCI image layout: folders that other tools push to a registry.
//!
//! Of the shapes that are in use for wasm modules, this is the one that Istio and Envoy Gateway try first and that every registry
//! takes for an ordinary image: one gzipped tar layer with `plugin.wasm` in it, "compat" in the Wasm Image Specification
//! (<https://github.com/solo-io/wasm/blob/master/spec/spec-compat.md>). There is no time in it: the same module gives the same digest.

use crate::command::shown_path;
use crate::progress::step;
use crate::{artifacts, setup};
use anyhow::{Context, Result, ensure};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the module is called in the layer.
const MODULE: &str = "plugin.wasm";

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Where the images are if nothing else is said.
pub(crate) fn folder() -> PathBuf {
    doorward_testbed::folder::dist().join("oci")
}

/// Builds the filters, writes their images and says how to push them.
pub(crate) fn build(output: Option<PathBuf>) -> Result<()> {
    artifacts::filters(&setup::wasm()?)?;
    let output = output.unwrap_or_else(folder);
    for (name, digest) in images(&output)? {
        let layout = shown_path(&output.join(&name));
        let target = format!("registry.example.com/doorward/{name}:{VERSION}");
        println!("\n{name}: {digest}. To push it, one of");
        println!("  crane push {layout} {target}");
        println!("  oras copy --from-oci-layout {layout}:{VERSION} {target}");
        println!("  skopeo copy --preserve-digests oci:{layout}:{VERSION} docker://{target}");
    }
    Ok(())
}

/// Writes an image of each filter in `dist` to a folder of its own in `output`. Their names and digests.
pub(crate) fn images(output: &Path) -> Result<Vec<(String, String)>> {
    let mut written = Vec::new();
    for file in artifacts::filter_files() {
        let name = file.trim_end_matches(".wasm");
        step(&format!("{name} image"), || {
            let module = doorward_testbed::folder::dist().join(file);
            let module = fs::read(&module).with_context(|| format!("expected {}", module.display()))?;
            let image = Image::new(name, &module)?;
            let layout = output.join(name);
            image.write(&layout)?;
            let shown = format!("{}, {}", shown_path(&layout), image.digest);
            written.push((name.to_owned(), image.digest));
            Ok(shown)
        })?;
    }
    Ok(written)
}

/// An image as the files of its layout.
#[derive(Debug, PartialEq)]
struct Image {
    /// Of the manifest: the image's own name in a registry, and `sha256` of a WasmPlugin.
    digest: String,
    files: BTreeMap<String, Vec<u8>>,
}

impl Image {
    fn new(name: &str, module: &[u8]) -> Result<Self> {
        let archive = archive(module)?;
        let layer = compressed(&archive)?;
        // Go's names for the platform, as the image format wants them.
        let config = bytes(&json!({
            "architecture": "wasm",
            "os": "wasip1",
            "rootfs": { "type": "layers", "diff_ids": [digest(&archive)] },
        }));
        let manifest = bytes(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": { "mediaType": CONFIG, "digest": digest(&config), "size": config.len() },
            "layers": [{ "mediaType": LAYER, "digest": digest(&layer), "size": layer.len() }],
            "annotations": {
                "org.opencontainers.image.title": format!("doorward {name}"),
                "org.opencontainers.image.version": VERSION,
                "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
                "org.opencontainers.image.source": env!("CARGO_PKG_REPOSITORY"),
            },
        }));
        let image = digest(&manifest);
        let index = bytes(&json!({
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [{
                "mediaType": MANIFEST,
                "digest": image,
                "size": manifest.len(),
                "annotations": { "org.opencontainers.image.ref.name": VERSION },
            }],
        }));
        let mut files: BTreeMap<_, _> =
            [layer, config, manifest].into_iter().map(|blob| (file(&digest(&blob)), blob)).collect();
        files.insert("index.json".to_owned(), index);
        files.insert("oci-layout".to_owned(), bytes(&json!({ "imageLayoutVersion": "1.0.0" })));
        Ok(Self { digest: image, files })
    }

    /// Writes the layout in place of one that is there.
    fn write(&self, layout: &Path) -> Result<()> {
        if layout.exists() {
            let is_layout = layout.join("oci-layout").is_file();
            ensure!(is_layout, "expected an OCI image layout to replace, but found {}", layout.display());
            fs::remove_dir_all(layout).with_context(|| format!("expected to remove {}", layout.display()))?;
        }
        for (name, content) in &self.files {
            let path = layout.join(name);
            let folder = path.parent().unwrap_or(layout);
            fs::create_dir_all(folder).with_context(|| format!("expected to make {}", folder.display()))?;
            fs::write(&path, content).with_context(|| format!("expected to write {}", path.display()))?;
        }
        Ok(())
    }
}

/// Where the blob of this digest is.
fn file(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

/// A tar archive that holds the module: nobody's, without a time.
fn archive(module: &[u8]) -> Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(module.len())?);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, MODULE, module).context("expected to write an archive")?;
    builder.into_inner().context("expected to write an archive")
}

fn compressed(archive: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    encoder.write_all(archive).context("expected to compress the archive")?;
    encoder.finish().context("expected to compress the archive")
}

fn digest(content: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(content) {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn bytes(document: &Value) -> Vec<u8> {
    document.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{capture, on_path, program};
    use doorward_testbed::folder::scratch;
    use flate2::read::GzDecoder;
    use oci_spec::image::{
        Arch, Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType, OciLayout,
    };
    use std::io::Read;

    const WASM: &[u8] = b"\0asm\x01\0\0\0 and what follows";

    fn image() -> Image {
        Image::new("jwt-authn", WASM).unwrap()
    }

    /// The content that a descriptor names, of the size and digest that it says.
    fn content<'i>(image: &'i Image, descriptor: &Descriptor) -> &'i [u8] {
        let content = &image.files[&file(descriptor.digest().as_ref())];
        assert_eq!(descriptor.size(), u64::try_from(content.len()).unwrap());
        assert_eq!(descriptor.digest().to_string(), digest(content));
        content
    }

    #[test]
    fn the_same_module_gives_the_same_image_and_another_one_another() {
        assert_eq!(image(), image());
        let other = Image::new("jwt-authn", b"\0asm").unwrap();
        assert_ne!(image().digest, other.digest);
        // No time and no user in the layer.
        let archive = archive(WASM).unwrap();
        let mut archive = tar::Archive::new(&*archive);
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        let header = entry.header();
        assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0, 0, 0));
    }

    #[test]
    fn a_digest_is_sha_256() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest(b""), empty);
    }

    #[test]
    fn from_the_index_to_the_module_every_document_is_of_the_specification() {
        let image = image();
        let layout = OciLayout::from_reader(&*image.files["oci-layout"]).unwrap();
        assert_eq!(layout.image_layout_version(), "1.0.0");
        let index = ImageIndex::from_reader(&*image.files["index.json"]).unwrap();
        let [reference] = &index.manifests()[..] else { panic!("{index:?}") };
        assert_eq!((index.schema_version(), index.media_type()), (2, &Some(MediaType::ImageIndex)));
        assert_eq!(
            (reference.media_type(), reference.digest().to_string()),
            (&MediaType::ImageManifest, image.digest.clone())
        );
        let name = &reference.annotations().as_ref().unwrap()["org.opencontainers.image.ref.name"];
        assert_eq!(name, VERSION);

        let manifest = ImageManifest::from_reader(content(&image, reference)).unwrap();
        assert_eq!((manifest.schema_version(), manifest.media_type()), (2, &Some(MediaType::ImageManifest)));
        let annotations = manifest.annotations().as_ref().unwrap();
        let annotation = |name: &str| annotations[&format!("org.opencontainers.image.{name}")].as_str();
        let found = ["title", "version", "licenses", "source"].map(annotation);
        let source = "https://github.com/doorward/doorward";
        assert_eq!(found, ["doorward jwt-authn", VERSION, "Apache-2.0", source]);

        assert_eq!(manifest.config().media_type(), &MediaType::ImageConfig);
        let config = ImageConfiguration::from_reader(content(&image, manifest.config())).unwrap();
        assert_eq!((config.architecture(), config.os().to_string().as_str()), (&Arch::Wasm, "wasip1"));
        assert_eq!(config.created(), &None);
        // What Istio takes: exactly this type, and `plugin.wasm` in it.
        let [layer] = &manifest.layers()[..] else { panic!("{manifest:?}") };
        assert_eq!(layer.media_type(), &MediaType::ImageLayerGzip);
        let mut archive = Vec::new();
        GzDecoder::new(content(&image, layer)).read_to_end(&mut archive).unwrap();
        assert_eq!(config.rootfs().diff_ids(), &[digest(&archive)]);
        let mut archive = tar::Archive::new(&*archive);
        let mut entries = archive.entries().unwrap();
        let mut entry = entries.next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap(), Path::new("plugin.wasm"));
        let mut module = Vec::new();
        entry.read_to_end(&mut module).unwrap();
        assert_eq!(module, WASM);
        assert!(entries.next().is_none());
        // And nothing else: layout, index, manifest, configuration, layer.
        assert_eq!(image.files.len(), 5);
    }

    #[test]
    fn a_layout_replaces_a_layout_and_nothing_else() {
        let layout = scratch("oci").unwrap().join("jwt-authn");
        Image::new("jwt-authn", b"\0asm").unwrap().write(&layout).unwrap();
        image().write(&layout).unwrap();
        assert_eq!(fs::read_dir(layout.join("blobs/sha256")).unwrap().count(), 3);
        fs::remove_file(layout.join("oci-layout")).unwrap();
        let error = image().write(&layout).unwrap_err().to_string();
        assert!(error.starts_with("expected an OCI image layout to replace"), "{error}");
        assert!(layout.join("index.json").exists());
    }

    /// With a tool of others, where it is installed.
    #[test]
    fn skopeo_reads_and_copies_the_image() {
        if !on_path("skopeo") {
            // Past the harness, which shows nothing of a test that passes.
            let note = "NOT RUN: skopeo on an image, because it is not on PATH\n";
            std::io::stderr().write_all(note.as_bytes()).unwrap();
            return;
        }
        let folder = scratch("skopeo").unwrap();
        let (layout, copy) = (folder.join("image"), folder.join("copy"));
        let image = image();
        image.write(&layout).unwrap();
        let source = format!("oci:{}:{VERSION}", layout.display());
        let found = capture(program("skopeo").args(["inspect", &source])).unwrap();
        let found: Value = serde_json::from_str(&found).unwrap();
        assert_eq!((&found["Digest"], &found["Architecture"]), (&json!(image.digest), &json!("wasm")));
        assert_eq!(found["Layers"].as_array().map(Vec::len), Some(1));
        // It checks every digest on the way.
        let target = format!("dir:{}", copy.display());
        capture(program("skopeo").args([
            "--insecure-policy",
            "copy",
            "--preserve-digests",
            &source,
            &target,
        ]))
        .unwrap();
        let manifest = &image.files[&file(&image.digest)];
        assert_eq!(&fs::read(copy.join("manifest.json")).unwrap(), manifest);
    }
}
