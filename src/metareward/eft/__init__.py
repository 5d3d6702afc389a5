"""Evaluation fine-tuning: from responses that people ranked to judgments that a judge learns to write."""
