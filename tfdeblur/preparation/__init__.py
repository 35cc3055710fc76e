"""What makes blurry/sharp pairs: archives, footage, rendered scenes, the builders' shared work."""
