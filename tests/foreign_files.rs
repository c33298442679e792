//! Models and adapters as others write them: other names of tensors, other contents, and what is no model at all.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype as FileDtype, SafeTensors};
use serde_json::{Value, json};
use streambp::model::{
    Config, DirectoryWriter, Dtype, ModelType, Parameters, Projection, SpecialTokenIds, Weights, open_model, save_adapter, save_model,
};

use crate::command_line::{complaint, directory, run, text};
use crate::support::model::{families, lora, odd_config, stored};

/// The tensors of a file, in f32.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

fn read(file: &Path) -> Tensors {
    let bytes = fs::read(file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let values = |view: &TensorView| (view.shape().to_vec(), bytemuck::pod_collect_to_vec(view.data()));
    tensors.iter().map(|(name, view)| (name.to_owned(), values(&view))).collect()
}

/// Edits the tensors of a file.
fn edit(file: &Path, edit: impl FnOnce(Tensors) -> Tensors) {
    let tensors = edit(read(file));
    let view = |(shape, values): &'_ (Vec<usize>, Vec<f32>)| (shape.clone(), bytemuck::cast_slice::<f32, u8>(values).to_vec());
    let owned: Vec<_> = tensors.iter().map(|(name, tensor)| (name, view(tensor))).collect();
    let views = owned.iter().map(|(name, (shape, bytes))| (*name, TensorView::new(FileDtype::F32, shape.clone(), bytes).unwrap()));
    fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Calls the tensors of a file by other names.
fn rename(file: &Path, name: impl Fn(&str) -> String) {
    edit(file, |tensors| tensors.into_iter().map(|(old, tensor)| (name(&old), tensor)).collect());
}

fn names(file: &Path) -> Vec<String> {
    read(file).into_keys().collect()
}

fn change_json(file: &Path, change: impl FnOnce(&mut Value)) {
    let mut document: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    change(&mut document);
    fs::write(file, document.to_string()).unwrap();
}

fn json_of(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn tied() -> Config {
    Config { tie_word_embeddings: true, ..odd_config() }
}

/// A model in a directory, changed by `change`, and its path.
fn model(here: &Path, name: &str, config: &Config, change: impl FnOnce(&Path)) -> std::path::PathBuf {
    let path = here.join(name);
    save_model(&path, config, &Weights::init(config, 1)).unwrap();
    change(&path);
    path
}

/// Adapters of `q_proj` and `up_proj` with values other than zero.
fn adapters(directory: &Path, base: &str, config: &Config) {
    let spec = lora(config, &[Projection::Query, Projection::Up], Dtype::F32);
    let parameters = Parameters::new(&spec);
    let draw = |(number, length): (usize, usize)| (0..length).map(|i| ((i + number) as f32).sin()).collect::<Vec<f32>>();
    let trainable: Vec<_> = parameters.trainable().map(|(_, parameter)| parameter).collect();
    let values = trainable.iter().map(|parameter| parameter.elements()).enumerate().map(draw);
    save_adapter(directory, &spec, base, &Weights::of(trainable.iter().copied(), values)).unwrap();
}

/// The model as it is written after training, which changes no names.
fn write_again(path: &Path, out: &Path) {
    pollster::block_on(async {
        let model = open_model(text(path), 0).await.unwrap();
        let parameters = Parameters::new(&model.config);
        let weights = Weights::read(&model, parameters.iter().map(|(_, parameter)| parameter)).await.unwrap();
        let mut files = DirectoryWriter::new(out).unwrap();
        model.write(&mut files, &weights, &SpecialTokenIds::default(), true).unwrap();
        files.commit().unwrap();
    });
}

fn merge(model: &Path, adapter: &Path, out: &Path) -> String {
    let output = run(&["merge", "--model", text(model), "--lora", text(adapter), "--out", text(out)]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

fn refusal(path: &Path) -> String {
    complaint(&["generate", "--model", text(path), "--prompt", "a"])
}

/// The file of a tied model may hold the head: once more the embedding, or a head of its own, as transformers sees it.
#[test]
fn a_head_that_differs_from_a_tied_embedding_unties_it() {
    let here = directory("own-head");
    let with_head = |path: &Path, change: fn(&mut Vec<f32>)| {
        edit(&path.join("model.safetensors"), |mut tensors| {
            let (shape, mut values) = tensors[EMBEDDING].clone();
            change(&mut values);
            tensors.insert(HEAD.to_owned(), (shape, values));
            tensors
        });
    };
    let plain = stored(&model(&here, "plain", &tied(), |_| {}));
    let same = model(&here, "same", &tied(), |path| with_head(path, |_| {}));
    assert_eq!(stored(&same), plain);

    // The very last value differs.
    let own = model(&here, "own", &tied(), |path| with_head(path, |values| *values.last_mut().unwrap() += 1.0));
    let (config, weights) = stored(&own);
    assert_eq!(config, Config { tie_word_embeddings: false, ..tied() });
    assert_eq!(weights.get(HEAD), read(&own.join("model.safetensors"))[HEAD].1);
    assert_eq!(weights.get(EMBEDDING), plain.1.get(EMBEDDING));

    adapters(&here.join("adapter"), "own", &config);
    merge(&own, &here.join("adapter"), &here.join("merged"));
    write_again(&own, &here.join("written"));
    for written in [here.join("merged"), here.join("written")] {
        assert_eq!(json_of(&written.join("config.json"))["tie_word_embeddings"], false);
        assert_eq!(stored(&written).1.get(HEAD), weights.get(HEAD));
    }
    write_again(&same, &here.join("same-written"));
    assert!(!names(&here.join("same-written/model.safetensors")).contains(&HEAD.to_owned()));
}

#[test]
fn prefixes_of_tensors_are_understood_and_kept() {
    let here = directory("prefixes");
    for (number, (config, prefix, body)) in [
        (tied(), "", ""),
        (odd_config(), "_orig_mod.", "_orig_mod.model."),
        (odd_config(), "module.", "module.model."),
        (odd_config(), "language_model.", "language_model.model."),
        (odd_config(), "", "model.language_model."),
        (odd_config(), "", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let plain = stored(&model(&here, &format!("plain-{number}"), &config, |_| {}));
        let name = |old: &str| old.strip_prefix("model.").map_or(format!("{prefix}{old}"), |inner| format!("{body}{inner}"));
        let path = model(&here, &format!("other-{number}"), &config, |path| rename(&path.join("model.safetensors"), name));
        assert_eq!(stored(&path), plain, "{body}");
        let [adapter, merged, written] = ["adapter", "merged", "written"].map(|name| here.join(format!("{name}-{number}")));
        adapters(&adapter, "other", &config);
        merge(&path, &adapter, &merged);
        write_again(&path, &written);
        for written in [merged, written] {
            assert_eq!(names(&written.join("model.safetensors")), names(&path.join("model.safetensors")));
        }
    }
}

/// Older files contain buffers. What is no buffer is refused, whatever it looks like.
#[test]
fn derived_buffers_are_passed_over_and_nothing_else() {
    let here = directory("buffers");
    let with = |tensor: &'static str| {
        move |path: &Path| {
            edit(&path.join("model.safetensors"), |mut tensors| {
                tensors.insert(tensor.to_owned(), (vec![3], vec![0.0; 3]));
                tensors
            });
        }
    };
    let plain = stored(&model(&here, "plain", &odd_config(), |_| {}));
    let known = ["model.rotary_emb.inv_freq", "model.layers.0.self_attn.rotary_emb.inv_freq", "model.layers.1.self_attn.masked_bias"];
    for (number, tensor) in known.into_iter().enumerate() {
        assert_eq!(stored(&model(&here, &number.to_string(), &odd_config(), with(tensor))), plain, "{tensor}");
    }
    // The last but one is a mask only if it is not of numbers; the last belongs to a multimodal model.
    let unknown =
        ["model.layers.0.self_attn.q_proj.bias", "score.weight", "draft.lm_head.weight", "model.layers.0.self_attn.bias", "vision_tower.a"];
    for tensor in unknown {
        let said = refusal(&model(&here, tensor, &odd_config(), with(tensor)));
        assert!(said.contains(tensor) && said.contains("is none that the model in config.json has"), "{said}");
    }
}

/// Gemma 3 with its vision tower: both layouts of names that transformers has written.
#[test]
fn the_text_model_of_a_multimodal_gemma_opens() {
    let here = directory("multimodal");
    let config = families().swap_remove(4);
    assert_eq!(config.model_type, ModelType::Gemma3Text);
    let plain = model(&here, "plain", &config, |_| {});
    for (number, (body, tower)) in
        [("language_model.model.", "vision_tower.a.weight"), ("model.language_model.", "model.vision_tower.a.weight")]
            .into_iter()
            .enumerate()
    {
        let path = model(&here, &format!("gemma-{number}"), &config, |path| {
            rename(&path.join("model.safetensors"), |old| old.replace("model.", body));
            edit(&path.join("model.safetensors"), |mut tensors| {
                tensors.insert(tower.to_owned(), (vec![2, 2], vec![0.5; 4]));
                tensors.insert(tower.replace("vision_tower.a", "multi_modal_projector.b"), (vec![1], vec![0.5]));
                tensors
            });
            change_json(&path.join("config.json"), |config| {
                *config = json!({ "model_type": "gemma3", "text_config": config.clone(), "vision_config": {}, "eos_token_id": [1, 106] });
            });
        });
        assert_eq!(stored(&path), stored(&plain), "{body}");
        let written = here.join(format!("written-{number}"));
        write_again(&path, &written);
        let config = json_of(&written.join("config.json"));
        assert_eq!((&config["model_type"], &config["eos_token_id"]), (&json!("gemma3_text"), &json!([1, 106])));
        assert_eq!(names(&written.join("model.safetensors")), names(&plain.join("model.safetensors")));
        assert_eq!(stored(&written), stored(&plain));
    }
    let model = pollster::block_on(open_model(text(&here.join("gemma-0")), 0)).unwrap();
    let adapters = Parameters::new(lora(&config, &[Projection::Up], Dtype::F32));
    let (_, adapter) = adapters.trainable().next().unwrap();
    assert_eq!(model.adapter_names().of(adapter), "base_model.model.model.language_model.layers.0.mlp.up_proj.lora_A.weight");
}

#[test]
fn names_of_adapters_are_understood() {
    let here = directory("adapter-names");
    let base = model(&here, "base", &tied(), |_| {});
    adapters(&here.join("plain"), "base", &tied());
    merge(&base, &here.join("plain"), &here.join("merged"));
    for (number, (from, to)) in [
        (".weight", ".default.weight"),
        ("base_model.model.", ""),
        ("base_model.model.model.", "base_model.model."),
        ("base_model.model.model.", "base_model.model._orig_mod.model."),
        ("base_model.model.model.", "base_model.model.model.language_model."),
    ]
    .into_iter()
    .enumerate()
    {
        let [adapter, merged] = ["adapter", "merged"].map(|name| here.join(format!("{name}-{number}")));
        adapters(&adapter, "base", &tied());
        rename(&adapter.join("adapter_model.safetensors"), |name| name.replace(from, to));
        merge(&base, &adapter, &merged);
        assert_eq!(read(&merged.join("model.safetensors")), read(&here.join("merged/model.safetensors")), "{to}");
    }
    // Adapters of two models in one file.
    let adapter = here.join("mixed");
    adapters(&adapter, "base", &tied());
    rename(&adapter.join("adapter_model.safetensors"), |name| {
        name.replace("layers.1.mlp.up_proj.lora_B.", "layers.1.mlp.up_proj.lora_B.b.")
    });
    let said = complaint(&["merge", "--model", text(&base), "--lora", text(&adapter), "--out", text(&here.join("none"))]);
    assert!(said.contains("has no tensor base_model.model.model.layers.1.mlp.up_proj.lora_B.weight"), "{said}");
}

/// A field that was left over when weights were written anew does not go with them again.
#[test]
fn a_left_over_quantization_is_not_written() {
    let here = directory("left-over");
    let path = model(&here, "model", &tied(), |path| {
        change_json(&path.join("config.json"), |config| {
            config["quantization_config"] = json!({ "quant_method": "bitsandbytes", "load_in_4bit": true });
        });
    });
    adapters(&here.join("adapter"), "model", &tied());
    merge(&path, &here.join("adapter"), &here.join("merged"));
    write_again(&path, &here.join("written"));
    for written in ["merged", "written"] {
        assert!(json_of(&here.join(written).join("config.json")).get("quantization_config").is_none());
        stored(&here.join(written));
    }
}

#[test]
fn what_is_no_model_is_called_by_its_name() {
    let here = directory("no-model");
    let base = model(&here, "B", &tied(), |_| {});
    let adapter = here.join("A");
    adapters(&adapter, "B", &tied());
    let empty = here.join("empty");
    fs::create_dir_all(&empty).unwrap();
    let of_model = |model: &Path| complaint(&["plan", "--model", text(model), "--seq-len", "64"]);
    let of_adapter =
        |adapter: &Path| complaint(&["merge", "--model", text(&base), "--lora", text(adapter), "--out", text(&here.join("M"))]);
    let file = |name: &str| fs::write(here.join(name), "").map(|()| here.join(name)).unwrap();
    for (said, expected) in [
        (of_model(&base.join("model.safetensors")), "is one file of a model; give its directory, "),
        (of_model(&file("model.gguf")), "GGUF"),
        (of_model(Path::new("Qwen/Qwen3-0.6B")), "hf download Qwen/Qwen3-0.6B --local-dir Qwen3-0.6B"),
        (of_model(&adapter), "holds adapters, and no model; give their base model as --model"),
        (refusal(&adapter), "holds adapters, and no model; give their base model as --model"),
        (of_model(&empty), "is empty"),
        (of_model(&here.join("nowhere")), "there is no model"),
        (of_adapter(&adapter.join("adapter_model.safetensors")), "is one file of adapters; give its directory, "),
        (of_adapter(Path::new("somebody/adapters")), "hf download somebody/adapters --local-dir adapters"),
        (of_adapter(&base), "holds a model, and no adapters"),
        (of_adapter(&empty), "is empty"),
        (of_adapter(&here.join("nowhere")), "there is no directory"),
        (complaint(&["merge", "--model", "a/b", "--lora", text(&adapter), "--out", text(&here.join("M"))]), "hf download a/b"),
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(!here.join("M").exists());
}

#[test]
fn weights_in_other_formats_are_called_by_their_names() {
    let here = directory("other-formats");
    for (number, (file, expected)) in [
        ("pytorch_model.bin", "only pytorch_model.bin; load it in Python"),
        ("pytorch_model.bin.index.json", "only pytorch_model.bin.index.json; load it in Python"),
        ("consolidated.safetensors", "layout of Hugging Face"),
        ("adapter_model.safetensors", "these are adapters"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = model(&here, &number.to_string(), &tied(), |path| {
            fs::rename(path.join("model.safetensors"), path.join(file)).unwrap();
        });
        let said = refusal(&path);
        assert!(said.contains("model.safetensors: is not there") && said.contains(expected), "{said}");
    }
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n";
    for name in ["model.safetensors", "config.json"] {
        let said = refusal(&model(&here, name, &tied(), |path| fs::write(path.join(name), pointer).unwrap()));
        assert!(said.contains(&format!("{name}: is a Git LFS pointer")) && said.contains("git lfs pull"), "{said}");
    }
    let said = refusal(&model(&here, "headless", &odd_config(), |path| {
        edit(&path.join("model.safetensors"), |mut tensors| {
            tensors.remove(HEAD).unwrap();
            tensors
        });
    }));
    assert!(said.contains("has no tensor lm_head.weight") && said.contains("AutoModelForCausalLM"), "{said}");
}

/// bitsandbytes in 4 bits packs a matrix in bytes, and describes them in further tensors.
#[test]
fn quantised_weights_get_one_sentence() {
    let here = directory("quantised");
    let path = model(&here, "model", &tied(), |path| {
        edit(&path.join("model.safetensors"), |mut tensors| {
            let name = "model.layers.0.self_attn.q_proj.weight";
            tensors.insert(name.to_owned(), (vec![30, 1], vec![0.0; 30]));
            tensors.insert(format!("{name}.absmax"), (vec![4], vec![0.0; 4]));
            tensors
        });
        change_json(&path.join("config.json"), |config| {
            config["quantization_config"] = json!({ "quant_method": "bitsandbytes", "load_in_4bit": true });
        });
    });
    let said = refusal(&path);
    assert!(said.contains("is quantised (bitsandbytes, 4 bits); take the 16-bit model"), "{said}");
}

#[test]
fn another_base_model_and_weights_that_are_not_read_are_noted() {
    let here = directory("notes");
    let base = model(&here, "B", &tied(), |_| {});
    for (name, is_other) in [("B", false), ("somewhere/else/B", false), ("somebody/another-base", true), ("", false)] {
        let adapter = here.join("adapter");
        adapters(&adapter, name, &tied());
        let out = here.join("merged");
        let said = merge(&base, &adapter, &out);
        assert_eq!(said.contains(&format!("were trained on {name}, and --model is {}", base.display())), is_other, "{name}: {said}");
        fs::remove_dir_all(out).unwrap();
    }
    let note = |model: &Path| {
        let arguments = ["train", "--model", text(model), "--data", "nowhere.txt", "--seq-len", "64", "--steps", "1"];
        complaint(&arguments);
        String::from_utf8(run(&arguments).stderr).unwrap().contains("the weights are random")
    };
    assert!(note(&base.join("config.json")));
    assert!(!note(&base));
}

#[test]
fn a_batch_without_anything_to_learn_is_refused_before_the_device_opens() {
    let here = directory("no-labels");
    let base = model(&here, "B", &tied(), |_| {});
    let bytes = |values: [i64; 4]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let tensors = [("input_ids", bytes([1, 2, 3, 4])), ("labels", bytes([-100; 4]))];
    let views = tensors.iter().map(|(name, bytes)| (*name, TensorView::new(FileDtype::I64, vec![1, 4], bytes).unwrap()));
    let batch = here.join("batch.safetensors");
    fs::write(&batch, safetensors::serialize(views, None).unwrap()).unwrap();
    let out = here.join("out.safetensors");
    let arguments = ["grad", "--model", text(&base), "--batch", text(&batch), "--out", text(&out), "--adapter", "no such adapter"];
    assert!(complaint(&arguments).contains("nothing to learn"));
}
