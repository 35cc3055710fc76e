"""Files of people: images, photographs with their metadata, videos; and pictures for reports."""
