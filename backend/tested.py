"""The newest versions that the use of library internals is tested with; `fttui doctor` warns about newer ones.

What is used that is no public interface:
- torch: `Module._parameters` and `_buffers`, `_compiled_call_impl`, `torch._dynamo.exc`, fused AdamW's `found_inf`, and
  FSDP2's `set_force_sum_reduction_for_comms`; in the dry run `FakeTensorMode`.
- transformers: `masking_utils.find_packed_sequence_indices` (checked at import; training does without it if need be),
  `tqdm` of the GGUF loader, `_supports_sdpa` and `_supports_flash_attn`.
- peft: `cast_input_dtype_enabled` of its layers.
- bitsandbytes: `optim.optimizer.sync_gpu`, `support_avx512bf16_for_cpu`, `get_state_buffer` and `init_state`.
"""

from __future__ import annotations

UP_TO = {"torch": "2.13", "transformers": "5.23", "peft": "0.21", "bitsandbytes": "0.50"}
"""Package -> the newest minor version."""
