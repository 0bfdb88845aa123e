from django.urls import path

from . import sees, views

app_name = "home"
urlpatterns = [
    path("", views.home, name="home"),
    path("people/<int:pk>/sees/", sees.person_sees, name="person-sees"),
]
