//! A wasm filter that does nothing: every callback answers at once. It exports what ours exports on the way of a request, and
//! no SDK takes any time, so it is the least that a wasm filter can cost.

use wasm_encoder::{
    CodeSection, ExportKind, ExportSection, Function, FunctionSection, MemorySection, MemoryType, Module,
    TypeSection, ValType,
};

/// A callback: its name, how many `i32` it takes, and what it answers, if anything.
const CALLBACKS: [(&str, usize, Option<i32>); 8] = [
    ("_initialize", 0, None),
    ("proxy_abi_version_0_2_1", 0, None),
    // An address of its memory: nothing is ever read there.
    ("proxy_on_memory_allocate", 1, Some(1024)),
    ("proxy_on_vm_start", 2, Some(1)),
    ("proxy_on_configure", 2, Some(1)),
    ("proxy_on_context_create", 2, None),
    // 0 is Continue.
    ("proxy_on_request_headers", 3, Some(0)),
    ("proxy_on_delete", 1, None),
];

/// The module.
pub(super) fn module() -> Vec<u8> {
    let mut types = TypeSection::new();
    let mut functions = FunctionSection::new();
    let mut exports = ExportSection::new();
    let mut code = CodeSection::new();
    for (index, (name, parameters, answer)) in (0..).zip(CALLBACKS) {
        types.ty().function(vec![ValType::I32; parameters], answer.map(|_| ValType::I32));
        functions.function(index);
        exports.export(name, ExportKind::Func, index);
        let mut body = Function::new([]);
        if let Some(answer) = answer {
            body.instructions().i32_const(answer);
        }
        body.instructions().end();
        code.function(&body);
    }
    exports.export("memory", ExportKind::Memory, 0);
    let mut memories = MemorySection::new();
    let memory =
        MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None };
    memories.memory(memory);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&memories).section(&exports).section(&code);
    module.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::EXPORTS;
    use crate::exports;

    #[test]
    fn module_is_small_and_exports_what_ours_does_on_the_way_of_a_request() {
        let names = [&EXPORTS[..], &["proxy_on_request_headers"]].concat();
        let module = module();
        // Nothing is missing, and nothing is left out.
        assert_eq!(exports::keep(&module, &names).unwrap(), module);
        assert!(module.len() < 400, "{}", module.len());
    }
}
