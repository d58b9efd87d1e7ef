"""Comparison of reconstruction methods: data, masks, metrics, competitors and the report (extra `compare`)."""
